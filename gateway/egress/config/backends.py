"""Backends of a document, as the model has them: hosts, LLM providers, where the request says."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from gateway.egress.config import backend_forms as forms
from gateway.egress.config import gates, keys, model, policies, redirects
from gateway.egress.config import policy_forms as policy
from gateway.egress.config.gates import Named, authority
from lifecycle.strict import NotUnderstood

_PROVIDERS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}


def backend(
    form: forms.BackendForm,
    named: Named,
    path: str,
    *,
    names: tuple[str, ...] = (),
    route: "Route | None" = None,
) -> model.Backend:
    """`names`: the route's, which a credential of a dynamic backend is bound to. `route`: what it
    says, where the backend itself says nothing."""
    kinds = [k for k in ("host", "backend", "dynamic", "ai") if getattr(form, k) is not None]
    if len(kinds) != 1:
        raise NotUnderstood(path, "is exactly one of host, backend, dynamic and ai")
    if form.weight < 0:
        raise NotUnderstood(f"{path}.weight", "is less than 0")
    levels = [(form.policies, f"{path}.policies")]
    host, ai, at = form.host, form.ai, path
    if form.backend is not None:
        target = named.get(form.backend)
        if target is None:
            raise NotUnderstood(f"{path}.backend", f"{form.backend[:80]!r} is no backend here")
        at = f"backends.{target.name}"
        if (target.host is None) == (target.ai is None):
            raise NotUnderstood(at, "is exactly one of host and ai")
        host, ai = target.host, target.ai
        levels.append((target.policies, f"{at}.policies"))
    outer = route or (policy.PoliciesForm(), path)
    if ai is not None:
        made = _ai(ai, levels, outer, named, f"{at}.ai")
        return replace(made, weight=form.weight)
    made = model.Backend(host=None, weight=form.weight)
    if host is not None:
        if host.startswith("unix:"):
            if not host.startswith("unix:/") or len(host) > 112:
                raise NotUnderstood(f"{at}.host", "unix: is followed by an absolute path")
            made = replace(made, host="localhost", port=80, unix=host.removeprefix("unix:"))
        else:
            name, port = authority(host, f"{at}.host")
            made = replace(made, host=name, port=port)
    return _with(made, levels, outer, named, names)


Level = tuple[policy.BackendPoliciesForm, str]
Route = tuple[policy.PoliciesForm, str]
"""With where they stand in the document, for what is said of a mistake."""


def _with(
    made: model.Backend,
    levels: Iterable[Level],
    route: Route,
    named: Named,
    names: tuple[str, ...] = (),
) -> model.Backend:
    """With the policies of its levels, the nearest first: of each kind the first is taken."""
    rules = made.rules
    for own, path in levels:
        transform = own.transformations or policy.TransformationsForm()
        edits = f"{path}.transformations"
        reach = names if made.host is None else (made.host,)
        rules += policies.authorization(own.authorization, path)
        made = replace(
            made,
            tls=made.tls or policies.backend_tls(own.backend_tls, path),
            request=made.request
            or policies.edits(own.request_header_modifier, f"{path}.requestHeaderModifier"),
            response=made.response
            or policies.edits(own.response_header_modifier, f"{path}.responseHeaderModifier"),
            computed=made.computed or policies.computed(transform.request, edits),
            answered=made.answered or policies.computed(transform.response, edits, pseudo=False),
            credentials=made.credentials or keys.backend_auth(own.backend_auth, reach, path),
            redirect=made.redirect
            or redirects.redirect(own.request_redirect, f"{path}.requestRedirect"),
            timeout_s=made.timeout_s or policies.http_timeout(own.http, path),
            http2=made.http2 or policies.wants_http2(own.backend_tls, own.http),
            tcp=policies.tcp(own.tcp, path) or made.tcp if made.tcp is model.NO_TCP else made.tcp,
            chain=made.chain or chain(own.backend_tunnel, named, f"{path}.backendTunnel"),
            authz=made.authz
            or (
                None
                if own.ext_authz is None
                else gates.ext_authz(own.ext_authz, named, f"{path}.extAuthz")
            ),
        )
    outer, path = route
    reach = names if made.host is None else (made.host,)
    return replace(
        made,
        rules=rules,
        tls=made.tls or policies.backend_tls(outer.backend_tls, path),
        chain=made.chain or chain(outer.backend_tunnel, named, f"{path}.backendTunnel"),
        credentials=made.credentials or keys.backend_auth(outer.backend_auth, reach, path),
    )


def chain(form: policy.TunnelForm | None, named: Named, path: str) -> model.Chain | None:
    if form is None:
        return None
    made = gates.service(form.proxy.host, form.proxy.backend, form.policies, named, path)
    if made.headers:
        raise NotUnderstood(f"{path}.policies.requestHeaderModifier", "means nothing here")
    if made.tls is not None:
        raise NotUnderstood(f"{path}.policies.backendTLS", "is not supported by rouse here")
    return model.Chain(host=made.host, port=made.port, credentials=made.credentials)


# LLM providers --------------------------------------------------------------------------------


def _ai(
    form: forms.AiForm, levels: list[Level], route: Route, named: Named, path: str
) -> model.Backend:
    if form.groups:
        if form.provider is not None or form.name is not None:
            raise NotUnderstood(path, "is one provider, or groups of them")
        groups = []
        for number, group in enumerate(form.groups):
            at = f"{path}.groups[{number}].providers"
            if not group.providers:
                raise NotUnderstood(at, "is empty")
            groups.append(
                tuple(
                    _provider(each, levels, route, named, f"{at}[{i}]")
                    for i, each in enumerate(group.providers)
                )
            )
        return replace(groups[0][0], groups=tuple(groups))
    if form.provider is None or form.name is None:
        raise NotUnderstood(path, "has a name and a provider, or groups")
    one = forms.NamedProviderForm(
        name=form.name,
        provider=form.provider,
        host_override=form.host_override,
        path_override=form.path_override,
        path_prefix=form.path_prefix,
        tokenize=form.tokenize,
        policies=form.policies,
    )
    return _provider(one, levels, route, named, path)


def _provider(
    form: forms.NamedProviderForm,
    levels: list[Level],
    route: Route,
    named: Named,
    path: str,
) -> model.Backend:
    own = [(form.policies, f"{path}.policies"), *levels]
    ai = _merged([each.ai for each, _path in own] + [route[0].ai])
    made = provider(form, ai, path)
    made = _with(made, own, route, named)
    # A provider that is not told otherwise is spoken to by TLS: its key goes with every request.
    return made if made.tls is not None else replace(made, tls=_own_tls(form))


def provided(form: forms.NamedProviderForm, named: Named, path: str) -> model.Backend:
    """One provider that stands in no route of its own."""
    return _provider(form, [], (policy.PoliciesForm(), path), named, path)


def _own_tls(form: forms.NamedProviderForm) -> model.BackendTls | None:
    """None where another host was said without `backendTLS`: TLS only when that is there."""
    return model.SYSTEM_TLS if form.host_override is None else None


def _merged(given: list[policy.AiPolicyForm | None]) -> policy.AiPolicyForm:
    """Field by field, the nearest first."""
    found = [each for each in given if each is not None]

    def first(name: str) -> Any:  # each field has its own type
        return next((value for each in found if (value := getattr(each, name))), {})

    return policy.AiPolicyForm(
        **{name: first(name) for name in policy.AiPolicyForm.__struct_fields__}
    )


def provider(form: forms.NamedProviderForm, ai: policy.AiPolicyForm, path: str) -> model.Backend:
    """Where it is and what it makes of a body; its other policies come on top."""
    given = form.provider
    kinds = [k for k in ("open_ai", "anthropic", "custom") if getattr(given, k) is not None]
    if len(kinds) != 1:
        raise NotUnderstood(f"{path}.provider", "is exactly one of openAI, anthropic and custom")
    formats: tuple[tuple[str, str | None], ...] = ()
    fixed: str | None
    if given.custom is not None:
        if not given.custom.formats:
            raise NotUnderstood(f"{path}.provider.custom.formats", "is empty")
        if form.host_override is None:
            raise NotUnderstood(f"{path}.hostOverride", "is missing: a custom provider has a host")
        name = given.custom.provider_override or "custom"
        fixed = given.custom.model
        formats = tuple(
            (each.type, redirects.path(each.path, f"{path}.provider.custom.formats"))
            for each in given.custom.formats
        )
    else:
        name = "openai" if given.open_ai is not None else "anthropic"
        fixed = (given.open_ai or given.anthropic or forms.ModelForm()).model
    host, port = _PROVIDERS.get(name, ""), 443
    if form.host_override is not None:
        host, port = authority(form.host_override, f"{path}.hostOverride")
    for suffix in ai.routes:
        if suffix != "*" and not suffix.startswith(("/", ":")):
            raise NotUnderstood(f"{path}.policies.ai.routes", f"{suffix[:80]!r} is no path's end")
    for alias in ai.model_aliases:
        gates.check_model(alias, f"{path}.policies.ai.modelAliases")
    return model.Backend(
        host=host,
        port=port,
        ai=model.Ai(
            provider=name,
            model=fixed,
            formats=formats,
            aliases=_longest_first(ai.model_aliases),
            defaults=tuple(ai.defaults.items()),
            overrides=tuple(ai.overrides.items()),
            routes=_longest_first(ai.routes),
            path_override=redirects.path(form.path_override, f"{path}.pathOverride"),
            path_prefix=redirects.path(form.path_prefix, f"{path}.pathPrefix"),
            is_elsewhere=form.host_override is not None,
            tokenizes=form.tokenize,
        ),
    )


def _longest_first(
    given: dict[str, str] | dict[str, policy.RouteType],
) -> tuple[tuple[str, str], ...]:
    """What has no star comes before what has, and `*` last."""
    return tuple(sorted(given.items(), key=lambda pair: ("*" in pair[0], -len(pair[0]), pair[0])))
