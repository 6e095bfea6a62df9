"""The shape of an egress document: agentgateway's names, and what of it is not supported here.

`REFUSED` has, for each form, the fields that agentgateway knows and we do not: they are refused by
name, never ignored. `rouse` at the top is ours alone: what agentgateway has no words for.
"""

from typing import Any, Literal

import msgspec

from lifecycle.quantities import Duration


class _Form(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
):
    """camelCase outside, nothing unknown."""


class FileForm(_Form, frozen=True, kw_only=True):
    file: str


Secret = str | FileForm

# Matches -------------------------------------------------------------------------------------


class PathForm(_Form, frozen=True, kw_only=True):
    exact: str | None = None
    path_prefix: str | None = None
    regex: str | None = None


class ValueForm(_Form, frozen=True, kw_only=True):
    exact: str | None = None
    regex: str | None = None


class NamedForm(_Form, frozen=True, kw_only=True):
    name: str
    value: ValueForm


class MatchForm(_Form, frozen=True, kw_only=True):
    path: PathForm | None = None
    method: str | None = None
    headers: tuple[NamedForm, ...] = ()
    query: tuple[NamedForm, ...] = ()


# Policies ------------------------------------------------------------------------------------


class HeadersForm(_Form, frozen=True, kw_only=True):
    add: dict[str, str] = {}
    set: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class TransformationsForm(_Form, frozen=True, kw_only=True):
    request: HeadersForm | None = None
    response: HeadersForm | None = None


class AuthorityForm(_Form, frozen=True, kw_only=True):
    full: str | None = None
    host: str | None = None
    port: int | None = None


class RewritePathForm(_Form, frozen=True, kw_only=True):
    full: str | None = None
    prefix: str | None = None


class RewriteForm(_Form, frozen=True, kw_only=True):
    authority: AuthorityForm | Literal["auto", "none"] | None = None
    path: RewritePathForm | None = None


class RedirectForm(_Form, frozen=True, kw_only=True):
    scheme: Literal["http", "https"] | None = None
    authority: AuthorityForm | None = None
    path: RewritePathForm | None = None
    status: int = 302


class DirectForm(_Form, frozen=True, kw_only=True):
    status: int
    body: str = ""
    body_expression: str | None = None
    headers: HeadersForm | None = None


class TimeoutForm(_Form, frozen=True, kw_only=True):
    request_timeout: Duration | None = None
    backend_request_timeout: Duration | None = None


class DelayForm(_Form, frozen=True, kw_only=True):
    duration: Duration


class RateForm(_Form, frozen=True, kw_only=True):
    max_tokens: int
    tokens_per_fill: int
    fill_interval: Duration
    type: Literal["requests", "tokens"] = "requests"
    key: str | None = None


class RuleForm(_Form, frozen=True, kw_only=True):
    allow: str | None = None
    deny: str | None = None
    require: str | None = None


class AuthorizationForm(_Form, frozen=True, kw_only=True):
    rules: tuple[str | RuleForm, ...]


class BackendTlsForm(_Form, frozen=True, kw_only=True):
    cert: str | None = None
    key: str | None = None
    root: str | None = None
    hostname: str | None = None
    alpn: tuple[str, ...] | None = None


class HeaderPlace(_Form, frozen=True, kw_only=True):
    name: str
    prefix: str = ""


class NamePlace(_Form, frozen=True, kw_only=True):
    name: str


class LocationForm(_Form, frozen=True, kw_only=True):
    header: HeaderPlace | None = None
    query_parameter: NamePlace | None = None
    cookie: NamePlace | None = None


class PlacedKeyForm(_Form, frozen=True, kw_only=True):
    value: Secret
    location: LocationForm | None = None


class KeyForm(_Form, frozen=True, kw_only=True):
    """`{file}` and `{value, location}`: both are mappings, so one form with all of it."""

    file: str | None = None
    value: Secret | None = None
    location: LocationForm | None = None


class CredentialForm(_Form, frozen=True, kw_only=True):
    location: LocationForm
    key: Secret


class BackendAuthForm(_Form, frozen=True, kw_only=True):
    key: str | KeyForm | None = None
    credentials: tuple[CredentialForm, ...] = ()


class PoliciesForm(_Form, frozen=True, kw_only=True):
    """Of routes, and (without what is about routes) of listeners and backends."""

    request_header_modifier: HeadersForm | None = None
    response_header_modifier: HeadersForm | None = None
    transformations: TransformationsForm | None = None
    url_rewrite: RewriteForm | None = None
    request_redirect: RedirectForm | None = None
    direct_response: DirectForm | None = None
    timeout: TimeoutForm | None = None
    delay: DelayForm | None = None
    local_rate_limit: tuple[RateForm, ...] = ()
    authorization: AuthorizationForm | None = None
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_auth: BackendAuthForm | None = None


class ListenerPoliciesForm(_Form, frozen=True, kw_only=True):
    authorization: AuthorizationForm | None = None
    transformations: TransformationsForm | None = None


class BackendPoliciesForm(_Form, frozen=True, kw_only=True):
    request_header_modifier: HeadersForm | None = None
    response_header_modifier: HeadersForm | None = None
    transformations: TransformationsForm | None = None
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_auth: BackendAuthForm | None = None
    authorization: AuthorizationForm | None = None


class TcpPoliciesForm(_Form, frozen=True, kw_only=True):
    pass


# Backends ------------------------------------------------------------------------------------


class ModelForm(_Form, frozen=True, kw_only=True):
    model: str | None = None


class ProviderForm(_Form, frozen=True, kw_only=True):
    open_ai: ModelForm | None = msgspec.field(default=None, name="openAI")
    anthropic: ModelForm | None = None


class AiForm(_Form, frozen=True, kw_only=True):
    name: str
    provider: ProviderForm
    host_override: str | None = None
    path_override: str | None = None
    path_prefix: str | None = None
    policies: BackendPoliciesForm = BackendPoliciesForm()


class DynamicForm(_Form, frozen=True, kw_only=True):
    pass


class BackendForm(_Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None
    dynamic: DynamicForm | None = None
    ai: AiForm | None = None
    weight: int = 1
    policies: BackendPoliciesForm = BackendPoliciesForm()


class NamedBackendForm(_Form, frozen=True, kw_only=True):
    name: str
    host: str | None = None
    ai: AiForm | None = None
    policies: BackendPoliciesForm = BackendPoliciesForm()


# Routes, listeners, binds --------------------------------------------------------------------


class RouteForm(_Form, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    rule_name: str = ""
    hostnames: tuple[str, ...] = ()
    matches: tuple[MatchForm, ...] = ()
    policies: PoliciesForm = PoliciesForm()
    backends: tuple[BackendForm, ...] = ()
    gateways: str | tuple[str, ...] = ()


class TcpBackendForm(_Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None
    dynamic: DynamicForm | None = None
    weight: int = 1


class TcpRouteForm(_Form, frozen=True, kw_only=True):
    name: str = ""
    hostnames: tuple[str, ...] = ()
    policies: TcpPoliciesForm = TcpPoliciesForm()
    backends: tuple[TcpBackendForm, ...] = ()
    gateways: str | tuple[str, ...] = ()


class TlsForm(_Form, frozen=True, kw_only=True):
    mode: Literal["static", "dynamicCa"] = "static"
    cert: str | None = None
    key: str | None = None
    min_tls_version: Literal["TLS_V1_2", "TLS_V1_3"] | None = msgspec.field(
        default=None, name="minTLSVersion"
    )
    max_tls_version: Literal["TLS_V1_2", "TLS_V1_3"] | None = msgspec.field(
        default=None, name="maxTLSVersion"
    )


class ListenerForm(_Form, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    hostname: str | None = None
    protocol: Literal["HTTP", "HTTPS", "TLS"] = "HTTP"
    tls: TlsForm | None = None
    routes: tuple[RouteForm, ...] = ()
    tcp_routes: tuple[TcpRouteForm, ...] = ()
    policies: ListenerPoliciesForm = ListenerPoliciesForm()


class BindForm(_Form, frozen=True, kw_only=True):
    port: int = 0
    listeners: tuple[ListenerForm, ...]
    tunnel_protocol: Literal["direct", "connect"] = "direct"
    mode: Literal["standard", "internal"] = "standard"


class GatewayForm(_Form, frozen=True, kw_only=True):
    port: int
    protocol: Literal["HTTP", "HTTPS", "TLS"] = "HTTP"
    tls: TlsForm | None = None
    listeners: tuple[ListenerForm, ...] = ()


class ConnectForm(_Form, frozen=True, kw_only=True):
    mode: Literal["deny", "tunnel", "route"] = "deny"


class AccessLogForm(_Form, frozen=True, kw_only=True):
    filter: str | None = None
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class FrontendForm(_Form, frozen=True, kw_only=True):
    connect: ConnectForm | None = None
    network_authorization: AuthorizationForm | None = None
    access_log: AccessLogForm | None = None


class ConfigForm(_Form, frozen=True, kw_only=True):
    model_catalog: str | FileForm | None = None


# What is ours --------------------------------------------------------------------------------


class HttpSourceForm(_Form, frozen=True, kw_only=True):
    url: str
    headers: dict[str, Secret] = {}
    field: str | None = None
    """Of a JSON answer: `data.token`. None: the answer is the secret."""


class OAuthForm(_Form, frozen=True, kw_only=True):
    token_url: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...] = ()


class AwsForm(_Form, frozen=True, kw_only=True):
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    service: str
    region: str


class BasicForm(_Form, frozen=True, kw_only=True):
    username: str


class SourceForm(_Form, frozen=True, kw_only=True):
    file: str | None = None
    env: str | None = None
    command: tuple[str, ...] | None = None
    http: HttpSourceForm | None = None
    oauth2: OAuthForm | None = None
    ttl: Duration = msgspec.field(default_factory=lambda: Duration(300))


class OurCredentialForm(_Form, frozen=True, kw_only=True, rename={"source": "from", "when": "for"}):
    name: str
    hosts: tuple[str, ...]
    source: SourceForm | None = None
    when: str | None = None
    """CEL over `actor` and `request`: for whom."""
    placeholder: str | None = None
    """Put in where the actor wrote this; without: put in always, at `location`."""
    location: LocationForm | None = None
    basic: BasicForm | None = None
    aws: AwsForm | None = None
    plain_http: bool = msgspec.field(default=False, name="plainHttp")


class LimitForm(_Form, frozen=True, kw_only=True):
    unit: Literal["USD", "Tokens"]
    amount: float


class WindowForm(_Form, frozen=True, kw_only=True):
    rolling: Duration


class BudgetForm(_Form, frozen=True, kw_only=True):
    name: str
    limit: LimitForm
    window: WindowForm
    on_budget_exceeded: Literal["Block", "Audit"] = "Block"
    per: Literal["actor", "namespace"] = "actor"
    when: str | None = msgspec.field(default=None, name="for")


class ActorsForm(_Form, frozen=True, kw_only=True):
    """Calls to other actors; the default is one's own namespace."""

    rules: tuple[str | RuleForm, ...] = ()


class RouseForm(_Form, frozen=True, kw_only=True):
    private_addresses: tuple[str, ...] = ()
    """Networks (or addresses) of private, loopback or link-local kind that may be reached."""
    credentials: tuple[OurCredentialForm, ...] = ()
    budgets: tuple[BudgetForm, ...] = ()
    actors: ActorsForm | None = None


class DocumentForm(_Form, frozen=True, kw_only=True):
    config: ConfigForm = ConfigForm()
    binds: tuple[BindForm, ...] = ()
    gateways: dict[str, GatewayForm] = {}
    routes: tuple[RouteForm, ...] = ()
    tcp_routes: tuple[TcpRouteForm, ...] = ()
    frontend_policies: FrontendForm = FrontendForm()
    backends: tuple[NamedBackendForm, ...] = ()
    rouse: RouseForm = RouseForm()


_ROUTE_POLICIES = (
    "requestMirror mcpAuthorization mcpAuthentication mcpGuardrails mcp a2a oidc extProc "
    "remoteRateLimit csrf buffer cors retry apiKey basicAuth jwtAuth extAuthz backendTunnel ai "
    "inferenceRouting conditional"
)
_BACKEND_POLICIES = (
    "health sessionAffinity inferenceRouting mcpAuthorization mcpAuthentication mcp a2a "
    "requestRedirect extAuthz http tcp ai backendTunnel"
)
_AUTH = "passthrough aws gcp azure copilot jwtSign oauthTokenExchange crossAppAccess"


REFUSED: dict[type[Any], frozenset[str]] = {
    form: frozenset(names.split())
    for form, names in {
        DocumentForm: "policies routeGroups services workloads mcp ui llm",
        ConfigForm: "adminAddr statsAddr readinessAddr logging metrics enableIpv6 dns xdsAddress "
        "caAddress network clusterId serviceAccount trustDomain namespace gateway tracing hbone "
        "workerThreads terminationMinDeadline terminationGracePeriod connectionMinTerminationGrace "
        "session database backend localXdsPath caAuthToken xdsAuthToken",
        FrontendForm: "http tls tcp proxy tracing",
        ConnectForm: "",
        AccessLogForm: "otlp database",
        GatewayForm: "jwtAuth basicAuth apiKey extAuthz authorization cors transformations oidc "
        "extProc policies",
        ListenerPoliciesForm: "jwtAuth basicAuth apiKey extAuthz cors oidc extProc",
        PoliciesForm: _ROUTE_POLICIES,
        BackendPoliciesForm: _BACKEND_POLICIES,
        TcpPoliciesForm: "backendTLS backendTunnel tcp",
        BackendTlsForm: "insecure insecureHost subjectAltNames keyExchangeGroups",
        BackendAuthForm: _AUTH,
        TransformationsForm: "conditional",
        HeadersForm: "replace body metadata",
        ProviderForm: "gemini vertex bedrock azure copilot custom",
        AiForm: "groups tokenize",
        DynamicForm: "target",
        BackendForm: "service mcp aws routeGroup internal",
        NamedBackendForm: "service mcp aws dynamic",
        TcpBackendForm: "service policies",
        TlsForm: "root cipherSuites keyExchangeGroups spiffe",
        LocationForm: "expression",
    }.items()
}

REFUSED_VALUES: dict[str, frozenset[str]] = {
    "tunnelProtocol": frozenset(("hboneWaypoint", "hboneGateway", "proxy")),
    "protocol": frozenset(("TCP", "HBONE", "AUTO")),
}
