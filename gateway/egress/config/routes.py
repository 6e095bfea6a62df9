"""Routes of a document, as the model has them."""

import re

from gateway.egress import hosts
from gateway.egress.cel import Expression
from gateway.egress.config import backends, forms, gates, model, policies, redirects
from gateway.egress.config import policy_forms as policy
from gateway.egress.config.backend_forms import BackendForm
from gateway.egress.config.gates import Named
from gateway.egress.config.shapes import MatchForm, NamedForm, PathForm, ValueForm
from lifecycle.quantities import Duration
from lifecycle.strict import NotUnderstood

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def route(form: forms.RouteForm, named: Named, path: str) -> model.Route:
    names = _names(form.hostnames, path)
    given = form.policies
    at = f"{path}.policies"
    is_answered = given.direct_response is not None or given.request_redirect is not None
    if not form.backends and not is_answered:
        raise NotUnderstood(f"{path}.backends", "is empty, and no policy answers by itself")
    made = tuple(
        backends.backend(each, named, f"{path}.backends[{i}]", names=names, route=(given, at))
        for i, each in enumerate(form.backends)
    )
    timeout = given.timeout or policy.TimeoutForm()
    delay_s, delay = _delay(given.delay, f"{at}.delay.duration")
    return model.Route(
        name=form.name or form.rule_name or path,
        hostnames=names,
        matches=_matches(form.matches, path),
        backends=made,
        gate=gates.gate(given, named, at),
        rates=policies.rates(given.local_rate_limit, at),
        retry=policies.retry(given.retry, at),
        request=policies.edits(given.request_header_modifier, f"{at}.requestHeaderModifier"),
        response=policies.edits(given.response_header_modifier, f"{at}.responseHeaderModifier"),
        rewrite=redirects.rewrite(given.url_rewrite, f"{at}.urlRewrite"),
        redirect=redirects.redirect(given.request_redirect, f"{at}.requestRedirect"),
        direct=_direct(given.direct_response, f"{at}.directResponse"),
        request_timeout_s=policies.seconds(timeout.request_timeout, f"{at}.timeout"),
        backend_timeout_s=policies.seconds(timeout.backend_request_timeout, f"{at}.timeout"),
        delay=delay,
        delay_s=delay_s,
    )


def _names(given: tuple[str, ...], path: str) -> tuple[str, ...]:
    return tuple(
        hosts.check_pattern(each, f"{path}.hostnames[{i}]") for i, each in enumerate(given)
    )


def _delay(form: policy.DelayForm | None, path: str) -> tuple[float, Expression | None]:
    """A duration as it is, else CEL that gives one, in words or as such."""
    if form is None:
        return 0.0, None
    try:
        return policies.seconds(Duration.parse(form.duration), path) or 0.0, None
    except NotUnderstood:
        raise
    except ValueError:
        return 0.0, Expression(form.duration, path)


def _matches(given: tuple[MatchForm, ...], path: str) -> tuple[model.Match, ...]:
    return tuple(_match(each, f"{path}.matches[{i}]") for i, each in enumerate(given)) or (
        model.ANY,
    )


def _match(form: MatchForm, path: str) -> model.Match:
    where = form.path or PathForm(path_prefix="/")
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
        headers=header_matches(form.headers, f"{path}.headers"),
        query=tuple((each.name, _value(each.value, f"{path}.query")) for each in form.query),
    )


def header_matches(
    given: tuple[NamedForm, ...], path: str
) -> tuple[tuple[str, str | re.Pattern[str]], ...]:
    return tuple((each.name.lower(), _value(each.value, path)) for each in given)


def _value(form: ValueForm, path: str) -> str | re.Pattern[str]:
    if (form.exact is None) == (form.regex is None):
        raise NotUnderstood(path, "a value is either exact or regex")
    return form.exact if form.exact is not None else _regex(form.regex or "", path)


def _regex(text: str, path: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise NotUnderstood(path, f"no regular expression: {error}") from error


def _direct(form: policy.DirectForm | None, path: str) -> model.Direct | None:
    if form is None:
        return None
    if not 200 <= form.status < 600:
        raise NotUnderstood(f"{path}.status", "is no status of a final answer")
    expression = None
    if form.body_expression is not None:
        expression = Expression(form.body_expression, f"{path}.bodyExpression")
    headers = policy.HeadersForm(set=form.headers)
    found = policies.computed(headers, f"{path}.headers", pseudo=False)
    return model.Direct(
        status=form.status,
        body=form.body.encode(),
        expression=expression,
        headers=found[0] if found else model.Computed(),
    )


def pass_route(form: forms.TcpRouteForm, named: Named, path: str) -> model.PassRoute:
    if not form.backends:
        raise NotUnderstood(f"{path}.backends", "is empty")
    route = policy.PoliciesForm(backend_tls=form.policies.backend_tls), f"{path}.policies"
    made = []
    for index, each in enumerate(form.backends):
        at = f"{path}.backends[{index}]"
        if each.backend is not None:
            found = named.get(each.backend)
            if found is None or found.host is None:
                raise NotUnderstood(f"{at}.backend", "is no backend with a host")
        own = policy.BackendPoliciesForm(
            backend_tls=each.policies.backend_tls, backend_tunnel=each.policies.backend_tunnel
        )
        given = BackendForm(
            host=each.host,
            backend=each.backend,
            dynamic=each.dynamic,
            weight=each.weight,
            policies=own,
        )
        made.append(backends.backend(given, named, at, route=route))
    return model.PassRoute(
        name=form.name or path, hostnames=_names(form.hostnames, path), backends=tuple(made)
    )
