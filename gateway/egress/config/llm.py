"""`llm` of a document: one route, whose backend is chosen by the model that the body asks for."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gateway.egress.cel import Expression
from gateway.egress.config import backend_forms as backend
from gateway.egress.config import backends, gates, model, policies, routes
from gateway.egress.config import llm_forms as forms
from gateway.egress.config import policy_forms as policy
from gateway.egress.config.gates import Named
from lifecycle.strict import NotUnderstood, nearest

DEFAULT_PORT = 4000
_KINDS = {"openAI": "open_ai", "openai": "open_ai", "anthropic": "anthropic"}


def route(form: forms.LlmForm, named: Named) -> model.Route:
    providers: dict[str, forms.LlmProviderForm] = {}
    for index, each in enumerate(form.providers):
        if each.name in providers:
            raise NotUnderstood(f"llm.providers[{index}].name", "is taken")
        providers[each.name] = each
    if not form.models:
        raise NotUnderstood("llm.models", "is empty")
    made = [
        _model(each, providers, named, f"llm.models[{i}]") for i, each in enumerate(form.models)
    ]
    given = form.policies
    gate = policy.GateForm(
        cors=given.cors,
        jwt_auth=given.jwt_auth,
        basic_auth=given.basic_auth,
        api_key=given.api_key,
        authorization=given.authorization,
        transformations=given.transformations,
    )
    return model.Route(
        name="llm",
        # What has no star comes before what has, and the longer before the shorter.
        models=tuple(sorted(made, key=lambda each: ("*" in each.name, -len(each.name)))),
        gate=gates.gate(gate, named, "llm.policies"),
        rates=policies.rates(given.local_rate_limit, "llm.policies"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a model says, over what its provider says for all."""

    kind: str | forms.LlmKindForm
    params: forms.ParamsForm
    shared: forms.SharedForm


def _model(
    form: forms.LlmModelForm,
    providers: dict[str, forms.LlmProviderForm],
    named: Named,
    path: str,
) -> model.LlmModel:
    gates.check_model(form.name, f"{path}.name")
    said = _resolved(form, providers, path)
    made = _backend(form.name, said, named, path)
    return model.LlmModel(
        name=form.name,
        backend=made,
        headers=tuple(
            routes.header_matches(each.headers, f"{path}.matches[{i}].headers")
            for i, each in enumerate(form.matches)
        ),
        rules=policies.authorization(form.authorization, path),
    )


def _resolved(
    form: forms.LlmModelForm, providers: dict[str, forms.LlmProviderForm], path: str
) -> _Said:
    own = forms.SharedForm(**{name: getattr(form, name) for name in _SHARED})
    given = form.provider
    if isinstance(given, str) or given.reference is None:
        return _Said(kind=given, params=form.params, shared=own)
    found = providers.get(given.reference)
    if found is None:
        why = f"{given.reference[:80]!r} is no provider here; {nearest(given.reference, providers)}"
        raise NotUnderstood(f"{path}.provider.reference", why)
    if not isinstance(found.provider, str) and found.provider.reference is not None:
        raise NotUnderstood(f"llm.providers.{found.name}.provider", "refers to another one")
    return _Said(
        kind=found.provider,
        params=_over(form.params, found.params),
        shared=_over(own, found.defaults),
    )


_SHARED = forms.SharedForm.__struct_fields__


_Either = TypeVar("_Either", forms.ParamsForm, forms.SharedForm)


def _over(own: _Either, given: _Either) -> _Either:
    made: dict[str, Any] = {}  # each field has its own type
    for name in own.__struct_fields__:
        mine, theirs = getattr(own, name), getattr(given, name)
        made[name] = {**theirs, **mine} if isinstance(mine, dict) else mine or theirs
    return type(own)(**made)


def _backend(name: str, said: _Said, named: Named, path: str) -> model.Backend:
    params, shared = said.params, said.shared
    if shared.tls is not None and shared.backend_tls is not None:
        raise NotUnderstood(f"{path}.tls", "is the older name of backendTLS: say one of them")
    tls = shared.backend_tls or shared.tls
    host, prefix = params.host_override, params.path_prefix
    if params.base_url is not None:
        base_host, base_path, is_tls = _base(params.base_url, f"{path}.params.baseUrl")
        host = host or base_host
        if base_path and params.path_override is None:
            prefix = prefix or base_path
        if is_tls and tls is None:
            tls = policy.BackendTlsForm()
    auth = shared.auth
    if params.api_key is not None:
        if auth is not None:
            raise NotUnderstood(f"{path}.auth", "and params.apiKey: say one of them")
        key = params.api_key
        value = key if isinstance(key, str) else policy.KeyForm(file=key.file)
        auth = policy.BackendAuthForm(key=value)
    own = policy.BackendPoliciesForm(
        request_header_modifier=shared.request_headers,
        response_header_modifier=shared.response_headers,
        backend_tls=tls,
        backend_auth=auth,
        backend_tunnel=shared.backend_tunnel,
        ai=policy.AiPolicyForm(defaults=shared.defaults, overrides=shared.overrides),
    )
    provider = backend.NamedProviderForm(
        name=name,
        provider=_provider(said.kind, params, path),
        host_override=host,
        path_override=params.path_override,
        path_prefix=prefix,
        tokenize=params.tokenize,
        policies=own,
    )
    made = backends.provided(provider, named, path)
    if made.ai is None or not shared.transformation:
        return made
    computed = tuple(
        (key, Expression(text, f"{path}.transformation.{key}"))
        for key, text in shared.transformation.items()
    )
    return replace(made, ai=replace(made.ai, computed=computed))


def _provider(
    kind: str | forms.LlmKindForm, params: forms.ParamsForm, path: str
) -> backend.ProviderForm:
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise NotUnderstood(f"{path}.provider", f"{kind[:80]!r}: {nearest(kind, _KINDS)}")
        one = backend.ModelForm(model=params.model)
        if _KINDS[kind] == "open_ai":
            return backend.ProviderForm(open_ai=one)
        return backend.ProviderForm(anthropic=one)
    if kind.custom is None:
        raise NotUnderstood(f"{path}.provider", "is openAI, anthropic, {custom} or {reference}")
    custom = kind.custom
    return backend.ProviderForm(
        custom=backend.CustomForm(
            model=params.model or custom.model,
            provider_override=custom.provider_override,
            formats=custom.formats,
        )
    )


def _base(text: str, path: str) -> tuple[str, str, bool]:
    """(host and port, path without its last slash, is it TLS)."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise NotUnderstood(path, "is no URL") from error
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise NotUnderstood(path, "is http(s)://host[:port][/path], and nothing more")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = port or (443 if parts.scheme == "https" else 80)
    return f"{host}:{port}", parts.path.rstrip("/"), parts.scheme == "https"
