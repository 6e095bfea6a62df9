"""CONNECT: what may be opened, or passed through, and as what. Rules, no I/O, no clock."""

from dataclasses import dataclass, replace
from random import Random

from gateway.egress import routing
from gateway.egress.ask import Ask
from gateway.egress.callers.keyring import Keyring
from gateway.egress.config.gate_model import Gate
from gateway.egress.config.model import Backend, Bind, Connect, Document, Listener, PassRoute
from gateway.egress.forwarding import names
from gateway.egress.gate import Passage, check, passed
from gateway.egress.needs import Steps
from gateway.egress.refusals import Refusal, Refused

_CHANCE = Random()


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
    backend = routing.by_weight(passed.name, passed.backends, chance)
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
