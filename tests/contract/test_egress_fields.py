"""Every field of agentgateway's that we know: taken, with a test that shows it, or refused by name.

The table is docs/egress-fields.md; a form that gains a field, or a name that is refused, without a
row there fails here.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from gateway.egress.config import backend_forms, forms, llm_forms, policy_forms, shapes
from gateway.egress.config.refused import REFUSED, REFUSED_VALUES
from gateway.egress.config.refusing import check
from lifecycle.strict import NotUnderstood

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests" / "gateway" / "egress"
_ROW = re.compile(
    r"\| (?P<where>[^|]+) \| (?P<names>[^|]+) \| (?P<what>taken|refused) \| (?P<by>[^|]*)\|"
)
_VALUES = re.compile(r"(?P<key>\w+)=\{(?P<values>[^}]*)\}")

PLACES: dict[str, type[msgspec.Struct]] = {
    "(top)": forms.DocumentForm,
    "config": forms.ConfigForm,
    "config.modelCatalog[]": forms.CatalogSourceForm,
    "config.logging": forms.LoggingForm,
    "config.logging.fields": forms.LoggingFieldsForm,
    "config.metrics": forms.MetricsForm,
    "config.metrics.fields": forms.MetricFieldsForm,
    "binds[]": forms.BindForm,
    "gateways.NAME": forms.GatewayForm,
    "listeners[]": forms.ListenerForm,
    "listeners[].tls": forms.TlsForm,
    "frontendPolicies": forms.FrontendForm,
    "frontendPolicies.connect": forms.ConnectForm,
    "frontendPolicies.accessLog": forms.AccessLogForm,
    "routes[]": forms.RouteForm,
    "routes[].matches[]": shapes.MatchForm,
    "routes[].matches[].path": shapes.PathForm,
    "tcpRoutes[]": forms.TcpRouteForm,
    "tcpRoutes[].policies": policy_forms.TcpPoliciesForm,
    "tcpRoutes[].backends[]": backend_forms.TcpBackendForm,
    "tcpRoutes[].backends[].policies": policy_forms.TcpBackendPoliciesForm,
    "backends[]": backend_forms.NamedBackendForm,
    "routes[].backends[]": backend_forms.BackendForm,
    "dynamic": backend_forms.DynamicForm,
    "ai": backend_forms.AiForm,
    "ai.groups[]": backend_forms.GroupForm,
    "ai.groups[].providers[]": backend_forms.NamedProviderForm,
    "ai.provider": backend_forms.ProviderForm,
    "ai.provider.openAI": backend_forms.ModelForm,
    "ai.provider.custom": backend_forms.CustomForm,
    "ai.provider.custom.formats[]": backend_forms.FormatForm,
    "policies (routes)": policy_forms.PoliciesForm,
    "policies (listeners, gateways)": policy_forms.GateForm,
    "policies (backends)": policy_forms.BackendPoliciesForm,
    "policies of services (extAuthz, backendTunnel)": policy_forms.SimplePoliciesForm,
    "requestHeaderModifier, responseHeaderModifier": policy_forms.HeadersForm,
    "transformations": policy_forms.TransformationsForm,
    "urlRewrite": policy_forms.RewriteForm,
    "urlRewrite.authority, requestRedirect.authority": policy_forms.AuthorityForm,
    "urlRewrite.path, requestRedirect.path": policy_forms.RewritePathForm,
    "requestRedirect": policy_forms.RedirectForm,
    "directResponse": policy_forms.DirectForm,
    "timeout": policy_forms.TimeoutForm,
    "delay": policy_forms.DelayForm,
    "retry": policy_forms.RetryForm,
    "localRateLimit[]": policy_forms.RateForm,
    "cors": policy_forms.CorsForm,
    "apiKey": policy_forms.ApiKeysForm,
    "apiKey.keys[]": policy_forms.ApiKeyForm,
    "location (of callers)": policy_forms.ReadLocationForm,
    "location (of credentials)": shapes.LocationForm,
    "location.header": shapes.HeaderPlace,
    "basicAuth": policy_forms.BasicAuthForm,
    "jwtAuth": policy_forms.JwtAuthForm,
    "jwtAuth.providers[]": policy_forms.IssuerForm,
    "jwtAuth.jwks": policy_forms.JwksForm,
    "jwtAuth.jwtValidationOptions": policy_forms.ValidationForm,
    "extAuthz": policy_forms.ExtAuthzForm,
    "extAuthz.protocol": policy_forms.AuthzProtocolForm,
    "extAuthz.protocol.http": policy_forms.AuthzHttpForm,
    "extAuthz.failureMode": policy_forms.DenyWithForm,
    "extAuthz.includeRequestBody": policy_forms.AuthzBodyForm,
    "extAuthz.cache": policy_forms.AuthzCacheForm,
    "backendTLS": policy_forms.BackendTlsForm,
    "http": policy_forms.HttpForm,
    "tcp": policy_forms.TcpForm,
    "tcp.keepalives": policy_forms.KeepalivesForm,
    "backendTunnel": policy_forms.TunnelForm,
    "backendTunnel.proxy": policy_forms.TunnelProxyForm,
    "backendAuth": policy_forms.BackendAuthForm,
    "backendAuth.passthrough": policy_forms.PassthroughForm,
    "backendAuth.key": policy_forms.KeyForm,
    "backendAuth.credentials[]": policy_forms.CredentialForm,
    "authorization": policy_forms.AuthorizationForm,
    "authorization.rules[]": policy_forms.RuleForm,
    "policies.ai": policy_forms.AiPolicyForm,
    "llm": llm_forms.LlmForm,
    "llm.providers[]": llm_forms.LlmProviderForm,
    "llm.models[].provider": llm_forms.LlmKindForm,
    "llm.params": llm_forms.ParamsForm,
    "llm.providers[].defaults": llm_forms.SharedForm,
    "llm.models[]": llm_forms.LlmModelForm,
    "llm.models[].matches[]": llm_forms.LlmMatchForm,
    "llm.policies": llm_forms.LlmPoliciesForm,
}

TO_TAKE = {
    "(top)": "config binds gateways routes tcpRoutes frontendPolicies backends llm",
    "config": "modelCatalog logging metrics",
    "config.logging": "level format fields filter",
    "config.metrics": "remove fields",
    "frontendPolicies": "connect networkAuthorization accessLog",
    "frontendPolicies.accessLog": "filter add remove",
    "binds[]": "port listeners tunnelProtocol mode",
    "gateways.NAME": "port protocol tls listeners jwtAuth basicAuth apiKey extAuthz authorization "
    "cors transformations",
    "listeners[]": "name namespace hostname protocol tls routes tcpRoutes policies",
    "listeners[].tls": "mode cert key root cipherSuites minTLSVersion maxTLSVersion "
    "keyExchangeGroups",
    "policies (listeners, gateways)": "jwtAuth basicAuth apiKey extAuthz authorization cors "
    "transformations",
    "routes[]": "name namespace ruleName hostnames matches policies backends gateways",
    "routes[].matches[]": "path method headers query",
    "tcpRoutes[].backends[].policies": "backendTLS backendTunnel",
    "routes[].backends[]": "host backend dynamic ai weight policies",
    "ai": "name provider hostOverride pathOverride pathPrefix tokenize policies groups",
    "ai.provider": "openAI anthropic custom",
    "ai.provider.custom": "formats providerOverride",
    "policies (backends)": "requestHeaderModifier responseHeaderModifier transformations "
    "backendTLS backendAuth backendTunnel requestRedirect authorization extAuthz http tcp ai",
    "policies (routes)": "requestHeaderModifier responseHeaderModifier transformations urlRewrite "
    "requestRedirect directResponse cors timeout retry localRateLimit apiKey basicAuth jwtAuth "
    "extAuthz authorization backendTLS delay backendTunnel backendAuth ai",
    "cors": "allowOrigins allowMethods allowHeaders exposeHeaders allowCredentials maxAge",
    "retry": "attempts backoff codes precondition condition",
    "localRateLimit[]": "maxTokens tokensPerFill fillInterval type key",
    "apiKey": "keys mode location",
    "apiKey.keys[]": "key keyHash metadata allowedModels",
    "basicAuth": "htpasswd realm mode authorizationLocation",
    "jwtAuth": "issuer audiences jwks jwtValidationOptions mode location providers",
    "extAuthz": "host policies protocol failureMode includeRequestHeaders includeRequestBody cache",
    "extAuthz.protocol.http": "path redirect body includeResponseHeaders addRequestHeaders "
    "metadata",
    "backendTLS": "cert key root hostname alpn subjectAltNames keyExchangeGroups",
    "backendAuth": "key passthrough credentials",
    "http": "version requestTimeout",
    "tcp": "keepalives connectTimeout",
    "llm": "gateways port providers models policies",
    "llm.models[]": "name provider params matches authorization requestHeaders responseHeaders "
    "backendTLS auth",
    "llm.params": "model apiKey baseUrl hostOverride pathOverride pathPrefix tokenize",
    "llm.policies": "jwtAuth apiKey basicAuth authorization cors transformations localRateLimit",
    "policies.ai": "routes defaults overrides modelAliases",
}
"""What we set out to take, of agentgateway's schema; but for what docs/egress.md argues about
(`config.adminAddr`, `statsAddr`, `readinessAddr`; `backendTLS.insecure`, `insecureHost`)."""

Row = tuple[str, str, str]
"""(where, taken or refused, shown by)"""


def _rows() -> list[tuple[str, str, str, str]]:
    text = (ROOT / "docs" / "egress-fields.md").read_text()
    found = [_ROW.fullmatch(line) for line in text.splitlines()]
    return [
        (row["where"].strip(), row["names"].strip(), row["what"], row["by"].strip())
        for row in found
        if row is not None
    ]


ROWS = _rows()


def _names(what: str) -> dict[str, set[str]]:
    made: dict[str, set[str]] = defaultdict(set)
    for where, names, how, _by in ROWS:
        if how == what and _VALUES.fullmatch(names) is None:
            made[where] |= set(names.split())
    return made


def test_every_form_is_in_the_table() -> None:
    ours = {
        kind
        for module in (backend_forms, forms, llm_forms, policy_forms, shapes)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
        and kind.__struct_fields__
    }
    parts = {shapes.FileForm, shapes.ValueForm, shapes.NamedForm, shapes.NamePlace}
    assert ours - set(PLACES.values()) <= parts, "a form without a row"


@pytest.mark.parametrize("where", PLACES)
def test_each_field_of_a_form_has_its_row(where: str) -> None:
    form = PLACES[where]
    fields = {each.encode_name for each in msgspec.structs.fields(form)}
    assert _names("taken")[where] == fields
    assert _names("refused")[where] == REFUSED.get(form, frozenset())


@pytest.mark.parametrize("where", TO_TAKE)
def test_what_we_set_out_to_take_is_taken(where: str) -> None:
    assert set(TO_TAKE[where].split()) <= _names("taken")[where]


def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_"
    }


def test_what_is_taken_is_shown_by_a_test_that_is_there() -> None:
    for where, names, what, by in ROWS:
        if what == "taken" and by != "-":
            file, _colons, name = by.partition("::")
            there = _tests_in(TESTS / file)
            assert name in there, f"{where} {names}: {by}"


def test_what_is_refused_is_refused_by_its_name() -> None:
    for where, names, what, _by in ROWS:
        if what != "refused":
            continue
        form, values = PLACES[where], _VALUES.fullmatch(names)
        if values is not None:
            assert set(values["values"].split()) == REFUSED_VALUES[form, values["key"]]
            given = [{values["key"]: each} for each in values["values"].split()]
        else:
            given = [{each: {}} for each in names.split()]
        for one in given:
            with pytest.raises(NotUnderstood, match="not supported by rouse"):
                check(one, form)


_GAP = re.compile(r"\| [^|]+ \| (?P<by>[\w/]+\.py::\w+) \|")


def test_each_gap_is_closed_by_a_test_that_is_there() -> None:
    text = (ROOT / "docs" / "egress-fields.md").read_text().partition("## Where it falls short")[2]
    found = [row["by"] for line in text.splitlines() if (row := _GAP.fullmatch(line))]
    assert len(found) >= 11
    for by in found:
        file, _colons, name = by.partition("::")
        assert name in _tests_in(TESTS / file), by
