"""What becomes of a request: refused, answered by us, or sent on, and how. Rules, no I/O, no clock.

The order is agentgateway's (agentgateway.md, section 5), but for the credential: it goes in last,
so that no expression can read it.
"""

import re
from dataclasses import dataclass
from random import Random
from urllib.parse import unquote

from gateway.egress import heads, routing
from gateway.egress.ask import Actor, Ask, Fields, Way
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import (
    Backend,
    Bind,
    Connect,
    Credential,
    Document,
    Listener,
    Match,
    PassRoute,
    Rate,
    Redirect,
    Route,
    Rules,
)
from gateway.egress.hosts import covers
from gateway.egress.limits import Buckets, Standing
from gateway.egress.refusals import Answer, Refusal, Refused

BASE_URL_HOST = "egress.internal"
"""The name under which the proxy itself is a server."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Forward:
    """A request that is admitted. A plan puts its credentials into `fields`: it has no repr."""

    route: Route
    backend: Backend
    tls: bool
    host: str
    """Where to connect; a name that is still to be resolved, and its address to be judged."""
    port: int
    is_named: bool
    """The document says this very host, so its address may be a private one."""
    authority: str
    """What goes into Host."""
    method: str
    target: str
    fields: Fields
    credentials: tuple[Credential, ...]
    reach: str
    """The host that credentials are judged by."""
    once: bool = False
    """Made for this request alone: an equal one is decided anew."""
    taken: tuple[tuple[object, Rate], ...] = ()
    """The buckets that were asked; those of LLM tokens are charged when the use is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A CONNECT that may be answered 200: opened (`listener`), or passed through (`passed`)."""

    listener: Listener | None = None
    passed: PassRoute | None = None
    bind: Bind | None = None
    host: str = ""
    port: int = 0
    is_named: bool = False


def allows(rules: Rules, ask: Ask) -> str | None:
    """None when allowed, else which rule says no. A deny that fails denies."""
    for rule in rules.deny:
        try:
            if rule.is_true(ask):
                return f"denied by {rule.source[:120]!r}"
        except CelFailed as error:
            return f"the deny rule {rule.source[:120]!r} could not be computed ({error})"
    for rule in rules.require:
        try:
            if not rule.is_true(ask):
                return f"{rule.source[:120]!r} is required"
        except CelFailed as error:
            return f"{rule.source[:120]!r} is required and could not be computed ({error})"
    for rule in rules.allow:
        try:
            if rule.is_true(ask):
                return None
        except CelFailed:
            continue
    return "no allow rule admits it" if rules.allow else None


def check(rules: Rules, ask: Ask) -> None:
    if rules and (why := allows(rules, ask)) is not None:
        raise Refusal(Refused.FORBIDDEN, f"{ask.method} {ask.host}:{ask.port}: {why}")


# CONNECT ------------------------------------------------------------------------------------


def connect(document: Document, ask: Ask) -> Opening:
    """Raises Refusal: before the 200, as an HTTP answer."""
    if document.connect is Connect.DENY:
        raise Refusal(Refused.METHOD, "this egress policy takes no CONNECT")
    check(document.network_rules, ask)
    where = f"{ask.host}:{ask.port}"
    if document.connect is Connect.ROUTE:
        return _connect_route(document, ask)
    bind = routing.bind_of(document, ask.port)
    if bind is None:
        raise Refusal(Refused.NO_BIND, f"{where}: this policy opens no port {ask.port}")
    listener = routing.listener_for(bind.listeners, ask.host)
    if listener is None:
        raise Refusal(
            Refused.FORBIDDEN,
            f"{where} is in no route of egress policy {ask.actor.policy}: ask its operator",
        )
    if listener.protocol != "TLS":
        return Opening(listener=listener, bind=bind, host=ask.host, port=ask.port)
    check(listener.rules, ask)
    passed = routing.pass_for(listener.passes, ask.host)
    assert passed is not None
    return _passing(passed, ask)


def _connect_route(document: Document, ask: Ask) -> Opening:
    for listener in routing.own_listeners(document):
        found = routing.route_for((listener,), ask)
        if found is not None and found[1].hostnames:
            check(listener.rules + found[1].rules, ask)
            backend = found[1].backends[0] if found[1].backends else Backend(host=None)
            passed = PassRoute(name=found[1].name, host=backend.host, port=backend.port)
            return _passing(passed, ask)
    raise Refusal(Refused.NO_ROUTE, f"{ask.host}:{ask.port} is in no route of this policy")


def _passing(passed: PassRoute, ask: Ask) -> Opening:
    return Opening(
        passed=passed,
        host=passed.host or ask.host,
        port=passed.port or ask.port,
        is_named=passed.host is not None or names(passed.hostnames, ask.host),
    )


# Requests -----------------------------------------------------------------------------------


class Decider:
    """The rules of one document, with the chance that weights need and the buckets of its rates."""

    def __init__(self, document: Document, buckets: Buckets, chance: Random) -> None:
        self.document = document
        self._buckets = buckets
        self._chance = chance

    def listeners_for(self, ask: Ask) -> list[Listener]:
        """Of a request that did not come through a CONNECT."""
        check(self.document.network_rules, ask)
        if ask.way is Way.BASE_URL or ask.host == BASE_URL_HOST:
            listeners = routing.own_listeners(self.document)
            if not listeners:
                raise Refusal(Refused.NO_LISTENER, "this policy has no listener for base URLs")
            return listeners
        bind = routing.bind_of(self.document, ask.port)
        if bind is None:
            raise Refusal(Refused.NO_BIND, f"this policy opens no port {ask.port}")
        return [each for each in bind.listeners if each.protocol != "TLS"]

    def decide(
        self, ask: Ask, listeners: list[Listener], named: frozenset[bytes], now: float
    ) -> Forward | Answer:
        """Raises Refusal."""
        check_path(ask.target)
        fields = heads.kept(ask.fields, named)
        found = routing.route_for(listeners, ask)
        if found is None:
            raise Refusal(
                Refused.NO_ROUTE,
                f"{ask.method} {ask.host}{ask.path[:200]} is in no route of egress policy "
                f"{ask.actor.policy}: ask its operator",
            )
        listener, route, match = found
        rules = listener.rules + route.rules
        check(rules, ask)
        taken = self._take(route, ask, now)
        fields = heads.computed(fields, listener.computed, ask)
        fields = heads.computed(fields, route.computed, ask)
        fields = heads.edited(fields, route.request)
        if route.redirect is not None:
            return _redirected(route.redirect, match, ask)
        if route.direct is not None:
            return _direct(route, ask)
        backend = self._choose(route, ask)
        check(backend.rules, ask)
        return self._forward(route, backend, match, ask, fields, taken)

    def _take(self, route: Route, ask: Ask, now: float) -> tuple[tuple[object, Rate], ...]:
        taken: list[tuple[object, Rate]] = []
        for index, rate in enumerate(route.rates):
            key: object = None
            if rate.key is not None:
                try:
                    key = str(rate.key.compute(ask))
                except CelFailed as error:
                    raise Refusal(
                        Refused.RATE, f"the limit's key could not be computed ({error})"
                    ) from error
            bucket = (route, index, key)
            standing = self._buckets.take(bucket, rate, now)
            if not standing.admitted:
                raise _rate_exceeded(standing)
            taken.append((bucket, rate))
        return tuple(taken)

    def take_again(self, forward: Forward, now: float) -> None:
        """For a request that is equal to one that was admitted. Raises Refusal."""
        for bucket, rate in forward.taken:
            standing = self._buckets.take(bucket, rate, now)
            if not standing.admitted:
                raise _rate_exceeded(standing)

    def charge(self, forward: Forward, tokens: int, now: float) -> None:
        for bucket, rate in forward.taken:
            if rate.counts_llm:
                self._buckets.charge(bucket, rate, tokens, now)

    def _choose(self, route: Route, ask: Ask) -> Backend:
        weights = [each.weight for each in route.backends]
        if not any(weights):
            raise Refusal(Refused.NO_BACKEND, f"route {route.name} sends nothing anywhere")
        if len(weights) == 1:
            return route.backends[0]
        return self._chance.choices(route.backends, weights)[0]

    def _forward(
        self,
        route: Route,
        backend: Backend,
        match: Match,
        ask: Ask,
        fields: Fields,
        taken: tuple[tuple[object, Rate], ...],
    ) -> Forward:
        fields = heads.computed(fields, backend.computed, ask)
        fields = heads.edited(fields, backend.request)
        host, port = (backend.host, backend.port) if backend.host else (ask.host, ask.port)
        # Of a dynamic backend the scheme that was asked for says it: what was opened as TLS is
        # closed as TLS, never sent on in the clear.
        tls = backend.tls is not None or (backend.host is None and ask.scheme == "https")
        target = _target(route, backend, match, ask)
        authority = _authority(host, port, tls=tls)
        if route.rewrite is not None and route.rewrite.authority is not None:
            authority = route.rewrite.authority or ask.authority
        credentials = (*route.credentials, *self._ours(ask, host))
        return Forward(
            route=route,
            backend=backend,
            tls=tls,
            host=host,
            port=port,
            is_named=backend.host is not None or names(route.hostnames, host),
            authority=authority,
            method=ask.method,
            target=target,
            fields=fields,
            credentials=credentials,
            reach=host,
            taken=taken,
        )

    def _ours(self, ask: Ask, host: str) -> list[Credential]:
        """Those of `rouse.credentials` that may go there for this actor."""
        found = []
        for credential in self.document.credentials:
            if not covers(credential.hosts, host):
                continue
            if credential.when is not None:
                try:
                    if not credential.when.is_true(ask):
                        continue
                except CelFailed:
                    continue
            found.append(credential)
        return found


def names(patterns: tuple[str, ...], host: str) -> bool:
    """Does the document say this very host, and not only a pattern over it? Only of an address: a
    name may come to mean another one."""
    return host in patterns and (":" in host or host.replace(".", "").isdigit())


def _rate_exceeded(standing: Standing) -> Refusal:
    wait = max(1, round(standing.wait_s + 0.5))
    return Refusal(Refused.RATE, f"try again in {wait} s", headers=standing.headers)


_DOTS = re.compile(r"(?:^|[/\\])\.{1,2}(?:$|[/\\])")


def check_path(target: str) -> None:
    """A path that the server may read as another one than the rules did is refused."""
    path = target.partition("?")[0]
    if "." not in path and "%" not in path and "\\" not in path:
        return
    decoded = unquote(unquote(path))
    if _DOTS.search(decoded) or "\\" in decoded or any(c < " " or c == "\x7f" for c in decoded):
        raise Refusal(Refused.INVALID, "a path with dot segments, backslashes or controls")


def _target(route: Route, backend: Backend, match: Match, ask: Ask) -> str:
    path, mark, query = ask.target.partition("?")
    rewrite = route.rewrite
    if rewrite is not None and rewrite.full_path is not None:
        path = rewrite.full_path
    elif rewrite is not None and rewrite.prefix is not None:
        path = _with_prefix(path, match, rewrite.prefix)
    elif backend.provider and match.prefix is not None and match.prefix != "/":
        # `/openai/v1/chat/completions` to an ai backend: its own path without the route's.
        path = _with_prefix(path, match, "/")
    if backend.path_override is not None:
        path = backend.path_override
    elif backend.path_prefix is not None:
        path = backend.path_prefix.rstrip("/") + path
    return heads.checked_target(path + mark + query)


def _with_prefix(path: str, match: Match, prefix: str) -> str:
    if match.prefix is None:
        raise Refusal(Refused.FILTERS, "a prefix is rewritten where a pathPrefix matched")
    rest = path[len(match.prefix.rstrip("/")) :].lstrip("/")
    return prefix.rstrip("/") + "/" + rest if rest or prefix.endswith("/") else prefix


def _authority(host: str, port: int, *, tls: bool) -> str:
    written = f"[{host}]" if ":" in host else host
    return written if port == (443 if tls else 80) else f"{written}:{port}"


def _redirected(redirect: Redirect, match: Match, ask: Ask) -> Answer:
    scheme = redirect.scheme or ask.scheme
    host = redirect.host or ask.host
    authority = host
    if redirect.port is not None:
        authority = f"{host}:{redirect.port}"
    elif redirect.host is None and redirect.scheme is None:
        authority = ask.authority
    path, mark, query = ask.target.partition("?")
    if redirect.full_path is not None:
        path = redirect.full_path
    elif redirect.prefix is not None:
        path = _with_prefix(path, match, redirect.prefix)
    location = f"{scheme}://{authority}{path}{mark}{query}"
    return Answer(status=redirect.status, headers=(("location", location),))


def _direct(route: Route, ask: Ask) -> Answer:
    direct = route.direct
    assert direct is not None
    body = direct.body
    if direct.expression is not None:
        try:
            value = direct.expression.compute(ask)
        except CelFailed as error:
            raise Refusal(Refused.FILTERS, f"the body could not be computed ({error})") from error
        body = value if isinstance(value, bytes) else str(value).encode()
    fields = heads.computed([], (direct.headers,), ask)
    return Answer(status=direct.status, body=body, headers=tuple(fields))


def no_policy(actor: Actor) -> Refusal:
    return Refusal(
        Refused.FORBIDDEN, f"this worker has no egress policy {actor.policy!r}: nothing may go out"
    )
