"""What becomes of a request: refused, answered by us, or sent on, and how. Rules, no I/O, no clock.

The order is agentgateway's (agentgateway.md, section 5), but for the credential: it goes in last,
so that no expression can read it.
"""

import datetime
import re
from dataclasses import replace
from random import Random
from urllib.parse import unquote

from gateway.egress import answering, authz, heads, health, routing, wanting
from gateway.egress.ask import Actor, Ask, Way
from gateway.egress.callers.keyring import Keyring
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Backend, Document, Listener, Match, Rate, Retry, Route
from gateway.egress.forwarding import Forward, Onward, forward_to
from gateway.egress.gate import Passage, check, passed
from gateway.egress.health import Health
from gateway.egress.limits import Buckets, Standing
from gateway.egress.llm import bodies, models
from gateway.egress.needs import Steps
from gateway.egress.refusals import Answer, Refusal, Refused

LONGEST_DELAY_S = 60.0
BASE_URL_HOST = "egress.internal"
"""The name under which the proxy itself is a server."""


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
        if wanting.by_route(route) and ask.body is None:
            yield from wanting.body(passage)
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
            return answering.with_edits(answering.redirected(route.redirect, match, ask), passage)
        if route.direct is not None:
            return answering.with_edits(answering.direct(route, ask), passage)
        backend = yield from self._backend_for(route, passage)
        if isinstance(backend, Answer):
            return answering.with_edits(backend, passage)
        check(backend.rules, ask)
        if backend.authz is not None:
            passage.once = True
            passage.fields = yield from authz.consulted(backend.authz, ask, passage.fields)
        if backend.redirect is not None:
            return answering.with_edits(answering.redirected(backend.redirect, match, ask), passage)
        if wanting.by_backend(backend, ask) and ask.body is None:
            yield from wanting.body(passage)
        onward = Onward(route=route, match=match, backend=backend, passage=passage, taken=taken)
        forward = self._forward(onward, now)
        forward.retry = retry
        forward.delay_s = _delay_s(route, ask)
        self._reserve(forward, ask, now)
        return forward

    def _backend_for(self, route: Route, passage: Passage) -> Steps[Backend | Answer]:
        ask = passage.ask
        if not route.models:
            return routing.by_weight(route.name, route.backends, self._chance)
        if models.is_list(ask):
            return models.listed(route.models, ask)
        yield from wanting.body(passage)
        return models.chosen(route.models, bodies.model_of(bodies.read(ask)), ask).backend

    def again(self, forward: Forward, now: float) -> Forward | None:
        """The same request to another one of its group; None where there is no other."""
        if forward.onward is None or not forward.onward.backend.groups:
            return None
        made = self._forward(forward.onward, now)
        made.retry, made.delay_s = forward.retry, forward.delay_s
        made.reserved = forward.reserved
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
                        Refused.RATE_FAILED, f"the limit's key could not be computed ({error})"
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
                self._buckets.charge(bucket, rate, tokens - forward.reserved, now)

    def _reserve(self, forward: Forward, ask: Ask, now: float) -> None:
        """Where the policy wants a request's tokens counted before it is sent. Raises Refusal."""
        ai = forward.backend.ai
        if ai is None or not ai.tokenizes or ask.body is None:
            return
        tokens = bodies.estimated(ask.body)
        for bucket, rate in forward.taken:
            if rate.counts_llm:
                standing = self._buckets.reserve(bucket, rate, tokens, now)
                if not standing.admitted:
                    raise _rate_exceeded(standing)
        forward.reserved = tokens

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
        return forward_to(self._provider(onward.backend, now), onward, self.document)


def _key(backend: Backend) -> object:
    return backend.host, backend.port, None if backend.ai is None else id(backend.ai)


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


def no_policy(actor: Actor) -> Refusal:
    return Refusal(
        Refused.FORBIDDEN, f"this worker has no egress policy {actor.policy!r}: nothing may go out"
    )
