"""What becomes of a request: refused, answered by us, or sent on, and how. Rules, no I/O, no clock.

The order is agentgateway's (agentgateway.md, section 5), but for the credential: it goes in last,
so that no expression can read it.
"""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from urllib.parse import unquote

from gateway.egress import authz, heads, health, routing
from gateway.egress.ask import Actor, Ask, Fields, Way
from gateway.egress.callers.keyring import Keyring
from gateway.egress.cel import CelFailed
from gateway.egress.config.gate_model import Gate
from gateway.egress.config.model import (
    Backend,
    Bind,
    Computed,
    Connect,
    Credential,
    Document,
    Edits,
    Listener,
    Match,
    PassRoute,
    Rate,
    Redirect,
    Retry,
    Route,
    Source,
)
from gateway.egress.gate import Passage, check, passed
from gateway.egress.health import Health
from gateway.egress.hosts import covers
from gateway.egress.limits import Buckets, Standing
from gateway.egress.llm import bodies, kinds, models
from gateway.egress.needs import Body, Steps
from gateway.egress.refusals import Answer, Refusal, Refused

LONGEST_DELAY_S = 60.0
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
    edits: tuple[Edits, ...] = ()
    """Of the answer."""
    answered: tuple[Computed, ...] = ()
    body: bytes | None = None
    """What goes on in place of the request's body; None: that, as it comes."""
    delay_s: float = 0.0
    retry: Retry | None = None
    onward: "Onward | None" = None
    """From where it may be sent to another backend of its group."""
    taken: tuple[tuple[object, Rate], ...] = ()
    """The buckets that were asked; those of LLM tokens are charged when the use is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """A request that is admitted, before a backend was chosen."""

    route: Route
    match: Match
    backend: Backend
    """With its groups."""
    passage: Passage
    taken: tuple[tuple[object, Rate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A CONNECT that may be answered 200: opened (`listener`), or passed through (`passed`)."""

    listener: Listener | None = None
    passed: PassRoute | None = None
    backend: Backend | None = None
    """Of what is passed through."""
    bind: Bind | None = None
    host: str = ""
    port: int = 0
    is_named: bool = False
    gates: tuple[Gate, ...] = ()
    """That it has to pass before it is passed on."""


# CONNECT ------------------------------------------------------------------------------------

_CHANCE = Random()


def connect(document: Document, ask: Ask, chance: Random = _CHANCE) -> Opening:
    """Raises Refusal: before the 200, as an HTTP answer."""
    if document.connect is Connect.DENY:
        raise Refusal(Refused.METHOD, "this egress policy takes no CONNECT")
    check(document.network_rules, ask)
    where = f"{ask.host}:{ask.port}"
    if document.connect is Connect.ROUTE:
        return _connect_route(document, ask, chance)
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
    check(listener.gate.rules, ask)
    found = routing.pass_for(listener.passes, ask.host)
    assert found is not None
    return _passing(found, ask, chance)


def _connect_route(document: Document, ask: Ask, chance: Random) -> Opening:
    for listener in routing.own_listeners(document):
        found = routing.route_for((listener,), ask)
        if found is not None and found[1].hostnames:
            route = found[1]
            backends = route.backends or (Backend(host=None),)
            passed = PassRoute(name=route.name, hostnames=route.hostnames, backends=backends)
            return replace(_passing(passed, ask, chance), gates=(listener.gate, route.gate))
    raise Refusal(Refused.NO_ROUTE, f"{ask.host}:{ask.port} is in no route of this policy")


def _passing(passed: PassRoute, ask: Ask, chance: Random) -> Opening:
    backend = _by_weight(passed.name, passed.backends, chance)
    return Opening(
        passed=passed,
        backend=backend,
        host=backend.host or ask.host,
        port=backend.port or ask.port,
        is_named=backend.host is not None or names(passed.hostnames, ask.host),
    )


def admitted(opening: Opening, ask: Ask, keyring: Keyring) -> Steps[None]:
    """A CONNECT that is passed on as a request of its route. Raises Refusal."""
    passage = Passage(ask=ask, fields=ask.fields)
    for each in opening.gates:
        is_last = each is opening.gates[-1]
        answer = yield from passed(each, passage, keyring, is_last=is_last)
        if answer is not None:
            raise Refusal(Refused.METHOD, "a policy answers this itself", answer=answer)


def _by_weight(name: str, backends: tuple[Backend, ...], chance: Random) -> Backend:
    weights = [each.weight for each in backends]
    if not any(weights):
        raise Refusal(Refused.NO_BACKEND, f"route {name} sends nothing anywhere")
    return backends[0] if len(weights) == 1 else chance.choices(backends, weights)[0]


# Requests -----------------------------------------------------------------------------------


class Decider:
    """The rules of one document, with the chance that weights need, the buckets of its rates, and
    what is known of its backends."""

    def __init__(
        self, document: Document, buckets: Buckets, chance: Random, keyring: Keyring
    ) -> None:
        self.document = document
        self.health = Health()
        self.keyring = keyring
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

    def steps(
        self, ask: Ask, listeners: list[Listener], named: frozenset[bytes], now: float
    ) -> Steps[Forward | Answer]:
        """The whole decision. Raises Refusal."""
        check_path(ask.target)
        passage = Passage(ask=ask, fields=heads.kept(ask.fields, named))
        found = routing.route_for(listeners, ask)
        listener = found[0] if found is not None else routing.only_for(listeners, ask.host)
        if listener is not None:
            answer = yield from passed(listener.gate, passage, self.keyring, is_last=False)
            if answer is not None:
                return answer
            if listener.gate.computed:
                found = routing.route_for((listener,), ask)  # it may be another one now
        if found is None:
            raise Refusal(
                Refused.NO_ROUTE,
                f"{ask.method} {ask.host}{ask.path[:200]} is in no route of egress policy "
                f"{ask.actor.policy}: ask its operator",
            )
        _listener, route, match = found
        return (yield from self._routed(route, match, passage, now))

    def _routed(
        self, route: Route, match: Match, passage: Passage, now: float
    ) -> Steps[Forward | Answer]:
        ask = passage.ask
        if _reads_body(route) and ask.body is None:
            yield from _body(passage)
        gate = route.gate
        if gate.cors is not None and passage.edits:
            gate = replace(gate, cors=None)  # the listener's comes first
        answer = yield from passed(gate, passage, self.keyring)
        if answer is not None:
            return answer
        retry = _retry(route, ask)
        taken = self._take(route, ask, now)
        passage.fields = heads.edited(passage.fields, route.request)
        if route.redirect is not None:
            return _with_edits(_redirected(route.redirect, match, ask), passage)
        if route.direct is not None:
            return _with_edits(_direct(route, ask), passage)
        backend = yield from self._backend_for(route, passage)
        if isinstance(backend, Answer):
            return _with_edits(backend, passage)
        check(backend.rules, ask)
        if backend.authz is not None:
            passage.once = True
            passage.fields = yield from authz.consulted(backend.authz, ask, passage.fields)
        if backend.redirect is not None:
            return _with_edits(_redirected(backend.redirect, match, ask), passage)
        if _wants_body(backend, match, ask) and ask.body is None:
            yield from _body(passage)
        onward = Onward(route=route, match=match, backend=backend, passage=passage, taken=taken)
        forward = self._forward(onward, now)
        forward.retry = retry
        forward.delay_s = _delay_s(route, ask)
        return forward

    def _backend_for(self, route: Route, passage: Passage) -> Steps[Backend | Answer]:
        ask = passage.ask
        if not route.models:
            return _by_weight(route.name, route.backends, self._chance)
        if models.is_list(ask):
            return models.listed(route.models, ask)
        yield from _body(passage)
        return models.chosen(route.models, bodies.model_of(bodies.read(ask)), ask).backend

    def again(self, forward: Forward, now: float) -> Forward | None:
        """The same request to another one of its group; None where there is no other."""
        if forward.onward is None or not forward.onward.backend.groups:
            return None
        made = self._forward(forward.onward, now)
        made.retry, made.delay_s = forward.retry, forward.delay_s
        return made

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

    def _provider(self, backend: Backend, now: float) -> Backend:
        """Of a group: one that is not out, of the first that has such a one; else any at all."""
        for group in backend.groups:
            fit = [each for each in group if not self.health.is_out(_key(each), now)]
            if fit:
                return self._chance.choice(fit)
        return self._chance.choice(backend.groups[0]) if backend.groups else backend

    def answered(self, forward: Forward, status: int, retry_after: str | None, now: float) -> None:
        """What came of it; 0: nothing did."""
        if forward.onward is None or not forward.onward.backend.groups:
            return
        key = _key(forward.backend)
        if status and not health.is_bad(status):
            self.health.answered(key)
        else:
            self.health.failed(key, now, for_s=health.out_s(retry_after))

    def _forward(self, onward: Onward, now: float) -> Forward:
        route, match, passage = onward.route, onward.match, onward.passage
        ask = passage.ask
        backend = self._provider(onward.backend, now)
        fields = heads.computed(passage.fields, backend.computed, ask)
        fields = heads.edited(fields, backend.request)
        host, port = (backend.host, backend.port) if backend.host else (ask.host, ask.port)
        # Of a dynamic backend the scheme that was asked for says it: what was opened as TLS is
        # closed as TLS, never sent on in the clear.
        tls = backend.tls is not None or (backend.host is None and ask.scheme == "https")
        target = _target(route, backend, match, ask)
        authority = _authority(host, port, tls=tls)
        if route.rewrite is not None and route.rewrite.authority is not None:
            authority = route.rewrite.authority or ask.authority
        elif route.rewrite is not None and route.rewrite.port is not None:
            authority = _authority(host, route.rewrite.port, tls=tls)
        body = None
        if ask.body is not None and backend.ai is not None:
            body = _llm_body(backend, match, ask, is_judged=bool(route.models))
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
            credentials=(*_theirs(backend, ask, host), *self._ours(ask, host)),
            reach=host,
            once=passage.once,
            edits=passage.edits + (backend.response or route.response),
            answered=(*backend.answered, *passage.answered),
            body=body,
            taken=onward.taken,
            onward=onward,
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


def _key(backend: Backend) -> object:
    return backend.host, backend.port, None if backend.ai is None else id(backend.ai)


def _theirs(backend: Backend, ask: Ask, host: str) -> list[Credential]:
    """The backend's own; a token that the caller showed takes the place of what passes one on."""
    found = []
    for credential in backend.credentials:
        if not covers(credential.hosts, host):
            continue
        if credential.passes:
            if ask.token is None:
                continue
            credential = replace(credential, source=Source(value=ask.token))
        found.append(credential)
    return found


# Bodies that a decision rests on --------------------------------------------------------------


def _reads_body(route: Route) -> bool:
    gate = route.gate
    rules = (*gate.rules.allow, *gate.rules.deny, *gate.rules.require)
    edits = [each for one in gate.computed for _name, each in (*one.add, *one.set)]
    keys = [each.key for each in route.rates if each.key is not None]
    direct = route.direct.expression if route.direct is not None else None
    before = route.retry.precondition if route.retry is not None else None
    more = [each for each in (before, direct) if each is not None]
    return any("request.body" in each.source for each in (*rules, *edits, *keys, *more))


def _body(passage: Passage) -> Steps[None]:
    """Raises Refusal."""
    passage.once = True
    if passage.ask.body is None and (yield Body(most=bodies.LARGEST)) is None:
        raise Refusal(Refused.REQUEST_BODY_TOO_LARGE, f"more than {bodies.LARGEST >> 20} MiB")


def _wants_body(backend: Backend, match: Match, ask: Ask) -> bool:
    if backend.ai is None:
        return any(
            "request.body" in each.source
            for one in backend.computed
            for _name, each in (*one.add, *one.set)
        )
    kind = kinds.kind_of(backend.ai, ask)
    changes = kind == "completions" or ask.models is not None
    changes = changes or any(_changes(each) for each in (backend, *_all_of(backend)))
    return ask.method == "POST" and kinds.has_body(kind) and changes


def _all_of(backend: Backend) -> Iterator[Backend]:
    return (each for group in backend.groups for each in group)


def _changes(backend: Backend) -> bool:
    ai = backend.ai
    return ai is not None and bool(
        ai.model or ai.aliases or ai.defaults or ai.overrides or ai.computed
    )


def _llm_body(backend: Backend, match: Match, ask: Ask, *, is_judged: bool) -> bytes | None:
    """Raises Refusal."""
    ai = backend.ai
    assert ai is not None
    kind = kinds.kind_of(ai, ask)
    if not kinds.has_body(kind) or ask.method != "POST":
        return None
    given = bodies.read(ask)
    if ask.models is not None:
        bodies.check_allowed(ask, bodies.model_of(given))
    made = bodies.changed(ai, kind, given, ask)
    # What was judged is what is sent: a body may say its model twice.
    is_same = made == given and not is_judged and ask.models is None
    return None if is_same else bodies.written(made)


def _retry(route: Route, ask: Ask) -> Retry | None:
    retry = route.retry
    if retry is None or retry.precondition is None:
        return retry
    try:
        return retry if retry.precondition.is_true(ask) else None
    except CelFailed:
        return None


def _delay_s(route: Route, ask: Ask) -> float:
    if route.delay is None:
        return route.delay_s
    try:
        value = route.delay.compute(ask)
    except CelFailed:
        return 0.0
    if isinstance(value, datetime.timedelta):
        return min(max(0.0, value.total_seconds()), LONGEST_DELAY_S)
    return 0.0


def _with_edits(answer: Answer, passage: Passage) -> Answer:
    fields = heads.edited(list(answer.headers), passage.edits)
    return replace(answer, headers=tuple(fields))


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
    rewrite, ai = route.rewrite, backend.ai
    if rewrite is not None and rewrite.full_path is not None:
        path = rewrite.full_path
    elif rewrite is not None and rewrite.prefix is not None:
        path = _with_prefix(path, match, rewrite.prefix)
    elif ai is not None and match.prefix is not None and match.prefix != "/":
        # `/openai/v1/chat/completions` to an ai backend: its own path without the route's.
        path = _with_prefix(path, match, "/")
    if ai is not None:
        kind = kinds.kind_of(ai, ask)
        kinds.check(ai, kind)
        path = kinds.path_of(ai, kind, path)
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
