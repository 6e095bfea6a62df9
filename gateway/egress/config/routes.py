"""Routes, backends and listeners of a document, as the model has them."""

import re
from collections.abc import Mapping
from dataclasses import replace

from gateway.egress import hosts
from gateway.egress.cel import Expression
from gateway.egress.config import forms, model, policies
from lifecycle.strict import NotUnderstood

_PROVIDERS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Named = Mapping[str, forms.NamedBackendForm]


def route(form: forms.RouteForm, named: Named, path: str) -> model.Route:
    names = tuple(
        hosts.check_pattern(each, f"{path}.hostnames[{i}]") for i, each in enumerate(form.hostnames)
    )
    given = form.policies
    at = f"{path}.policies"
    made = [backend(each, named, f"{path}.backends[{i}]") for i, each in enumerate(form.backends)]
    is_answered = given.direct_response is not None or given.request_redirect is not None
    if not made and not is_answered:
        raise NotUnderstood(f"{path}.backends", "is empty, and no policy answers by itself")
    tls = policies.backend_tls(given.backend_tls, at)
    backends = []
    auth_by_backend: list[model.Credential] = []
    for index, (one, auth) in enumerate(made):
        backends.append(one if tls is None or one.tls is not None else _with_tls(one, tls))
        where = f"{path}.backends[{index}].policies"
        reach = (one.host,) if one.host is not None else names
        auth_by_backend += policies.backend_auth(auth, reach, where, plain_http=False)
    own = [one.host for one in backends if one.host is not None]
    reach = tuple(own) if own and len(own) == len(backends) else names
    # One kind of policy at several levels: the backend's own comes before the route's.
    credentials = tuple(auth_by_backend) or policies.backend_auth(
        given.backend_auth, reach, at, plain_http=False
    )
    transform = given.transformations
    return model.Route(
        name=form.name or form.rule_name or path,
        hostnames=names,
        matches=_matches(form.matches, path),
        backends=tuple(backends),
        rules=policies.authorization(given.authorization, at),
        rates=policies.rates(given.local_rate_limit, at),
        credentials=credentials,
        request=policies.edits(given.request_header_modifier, f"{at}.requestHeaderModifier"),
        response=policies.edits(given.response_header_modifier, f"{at}.responseHeaderModifier"),
        computed=policies.computed(
            None if transform is None else transform.request, f"{at}.transformations"
        ),
        answered=policies.computed(
            None if transform is None else transform.response, f"{at}.transformations", pseudo=False
        ),
        rewrite=_rewrite(given.url_rewrite, f"{at}.urlRewrite"),
        redirect=_redirect(given.request_redirect, f"{at}.requestRedirect"),
        direct=_direct(given.direct_response, f"{at}.directResponse"),
        request_timeout_s=policies.seconds(
            None if given.timeout is None else given.timeout.request_timeout, f"{at}.timeout"
        ),
        backend_timeout_s=policies.seconds(
            None if given.timeout is None else given.timeout.backend_request_timeout,
            f"{at}.timeout",
        ),
        delay_s=policies.seconds(
            None if given.delay is None else given.delay.duration, f"{at}.delay"
        )
        or 0.0,
    )


def backend(
    form: forms.BackendForm, named: Named, path: str
) -> tuple[model.Backend, forms.BackendAuthForm | None]:
    kinds = [k for k in ("host", "backend", "dynamic", "ai") if getattr(form, k) is not None]
    if len(kinds) != 1:
        raise NotUnderstood(path, "is exactly one of host, backend, dynamic and ai")
    if form.weight < 0:
        raise NotUnderstood(f"{path}.weight", "is less than 0")
    own, at = form.policies, f"{path}.policies"
    if form.backend is not None:
        target = named.get(form.backend)
        if target is None:
            raise NotUnderstood(f"{path}.backend", f"{form.backend[:80]!r} is no backend here")
        inner = forms.BackendForm(
            host=target.host, ai=target.ai, weight=form.weight, policies=target.policies
        )
        made, auth = backend(inner, {}, f"backends.{target.name}")
        return _over(made, own, at), own.backend_auth or auth
    if form.ai is not None:
        made, auth = _ai(form.ai, form.weight, f"{path}.ai")
        return _over(made, own, at), own.backend_auth or auth
    if form.host is None:
        return _over(model.Backend(host=None, weight=form.weight), own, at), own.backend_auth
    if form.host.startswith("unix:"):
        raise NotUnderstood(f"{path}.host", "unix sockets are not supported by rouse")
    host, port = _authority(form.host, f"{path}.host")
    made = model.Backend(host=host, port=port, weight=form.weight)
    return _over(made, own, at), own.backend_auth


def _ai(
    form: forms.AiForm, weight: int, path: str
) -> tuple[model.Backend, forms.BackendAuthForm | None]:
    given = [
        name
        for name, value in (
            ("openai", form.provider.open_ai),
            ("anthropic", form.provider.anthropic),
        )
        if value is not None
    ]
    if len(given) != 1:
        raise NotUnderstood(f"{path}.provider", "is exactly one of openAI and anthropic")
    for value in (form.provider.open_ai, form.provider.anthropic):
        if value is not None and value.model is not None:
            raise NotUnderstood(f"{path}.provider", "a fixed model is not supported by rouse")
    host, port = _PROVIDERS[given[0]], 443
    if form.host_override is not None:
        host, port = _authority(form.host_override, f"{path}.hostOverride")
    made = model.Backend(
        host=host,
        port=port,
        tls=model.SYSTEM_TLS,
        weight=weight,
        provider=given[0],
        path_override=form.path_override,
        path_prefix=form.path_prefix,
    )
    return _over(made, form.policies, f"{path}.policies"), form.policies.backend_auth


def _over(made: model.Backend, own: forms.BackendPoliciesForm, path: str) -> model.Backend:
    """The backend with the policies that stand beside it; they come before what it has."""
    transform = own.transformations
    if transform is not None and transform.response is not None:
        raise NotUnderstood(f"{path}.transformations.response", "stands on the route")
    return replace(
        made,
        tls=policies.backend_tls(own.backend_tls, path) or made.tls,
        rules=made.rules + policies.authorization(own.authorization, path),
        request=policies.edits(own.request_header_modifier, path) or made.request,
        response=policies.edits(own.response_header_modifier, path) or made.response,
        computed=policies.computed(None if transform is None else transform.request, path)
        or made.computed,
    )


def _with_tls(made: model.Backend, tls: model.BackendTls) -> model.Backend:
    return replace(made, tls=tls)


def _authority(text: str, path: str) -> tuple[str, int]:
    try:
        host, port = hosts.split_port(text, 0)
    except hosts.BadHost as error:
        raise NotUnderstood(path, str(error)) from error
    if not port:
        raise NotUnderstood(path, f"{text[:80]!r} has no port: write host:port")
    return host, port


def _matches(given: tuple[forms.MatchForm, ...], path: str) -> tuple[model.Match, ...]:
    return tuple(_match(each, f"{path}.matches[{i}]") for i, each in enumerate(given)) or (
        model.ANY,
    )


def _match(form: forms.MatchForm, path: str) -> model.Match:
    where = form.path or forms.PathForm(path_prefix="/")
    said = [each for each in (where.exact, where.path_prefix, where.regex) if each is not None]
    if len(said) != 1 or not (where.regex is not None or said[0].startswith("/")):
        raise NotUnderstood(f"{path}.path", "is one of exact, pathPrefix and regex, beginning at /")
    if form.method is not None and _METHOD.fullmatch(form.method) is None:
        raise NotUnderstood(f"{path}.method", "is no method")
    return model.Match(
        exact=where.exact,
        prefix=where.path_prefix,
        regex=None if where.regex is None else _regex(where.regex, f"{path}.path.regex"),
        method=form.method,
        headers=tuple(
            (each.name.lower(), _value(each.value, f"{path}.headers")) for each in form.headers
        ),
        query=tuple((each.name, _value(each.value, f"{path}.query")) for each in form.query),
    )


def _value(form: forms.ValueForm, path: str) -> str | re.Pattern[str]:
    if (form.exact is None) == (form.regex is None):
        raise NotUnderstood(path, "a value is either exact or regex")
    return form.exact if form.exact is not None else _regex(form.regex or "", path)


def _regex(text: str, path: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise NotUnderstood(path, f"no regular expression: {error}") from error


def _rewrite(form: forms.RewriteForm | None, path: str) -> model.Rewrite | None:
    if form is None:
        return None
    authority: str | None = None
    if form.authority == "none":
        authority = ""
    elif isinstance(form.authority, forms.AuthorityForm):
        authority = _written(form.authority, f"{path}.authority")
    return model.Rewrite(
        authority=authority,
        full_path=_path(None if form.path is None else form.path.full, f"{path}.path.full"),
        prefix=_path(None if form.path is None else form.path.prefix, f"{path}.path.prefix"),
    )


def _written(form: forms.AuthorityForm, path: str) -> str:
    said = [each for each in (form.full, form.host) if each is not None]
    if len(said) != 1 or (form.full is not None and form.port is not None):
        raise NotUnderstood(path, "is `full`, or `host` with or without `port`")
    return said[0] if form.port is None else f"{said[0]}:{form.port}"


def _path(text: str | None, path: str) -> str | None:
    if text is not None and re.fullmatch(r"/[\x21\x22\x24-\x7e]*", text) is None:
        raise NotUnderstood(path, "is no path that begins with /")
    return text


def _redirect(form: forms.RedirectForm | None, path: str) -> model.Redirect | None:
    if form is None:
        return None
    if not 300 <= form.status < 400:
        raise NotUnderstood(f"{path}.status", "is no redirect")
    return model.Redirect(
        scheme=form.scheme,
        host=None if form.authority is None else form.authority.full or form.authority.host,
        port=None if form.authority is None else form.authority.port,
        full_path=_path(None if form.path is None else form.path.full, f"{path}.path.full"),
        prefix=_path(None if form.path is None else form.path.prefix, f"{path}.path.prefix"),
        status=form.status,
    )


def _direct(form: forms.DirectForm | None, path: str) -> model.Direct | None:
    if form is None:
        return None
    if not 200 <= form.status < 600:
        raise NotUnderstood(f"{path}.status", "is no status of a final answer")
    expression = None
    if form.body_expression is not None:
        expression = Expression(form.body_expression, f"{path}.bodyExpression")
    found = policies.computed(form.headers, f"{path}.headers", pseudo=False)
    return model.Direct(
        status=form.status,
        body=form.body.encode(),
        expression=expression,
        headers=found[0] if found else model.Computed(),
    )


def pass_route(form: forms.TcpRouteForm, named: Named, path: str) -> model.PassRoute:
    names = tuple(
        hosts.check_pattern(each, f"{path}.hostnames[{i}]") for i, each in enumerate(form.hostnames)
    )
    if len(form.backends) != 1:
        raise NotUnderstood(f"{path}.backends", "is one backend")
    only = form.backends[0]
    target = only.host
    if only.backend is not None:
        found = named.get(only.backend)
        if found is None or found.host is None:
            raise NotUnderstood(f"{path}.backends[0].backend", "is no backend with a host")
        target = found.host
    if (target is None) == (only.dynamic is None):
        raise NotUnderstood(f"{path}.backends[0]", "is one of host, backend and dynamic")
    host, port = (None, 0) if target is None else _authority(target, f"{path}.backends[0].host")
    return model.PassRoute(name=form.name or path, hostnames=names, host=host, port=port)
