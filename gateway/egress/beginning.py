"""Beginning: a head becomes an exchange: asked, decided (at once, or after what a store, a secret
or a delay has to be waited for), planned, and remembered where an equal one may be repeated."""

import asyncio
from typing import TYPE_CHECKING

from gateway.egress import asked, deciding, hosts, opening, repeating
from gateway.egress import plan as plans
from gateway.egress.ask import Ask, Fields, Way, fields_of
from gateway.egress.gathering import ActorLeft, gather
from gateway.egress.metering.meters import is_budgeted
from gateway.egress.needs import Pending, begun
from gateway.egress.refusals import Answer, Refusal, Refused

if TYPE_CHECKING:
    from gateway.egress.client import ClientConnection
    from gateway.egress.forwarding import Forward
    from gateway.egress.parts import Parts
    from gateway.egress.policies import Policy
    from gateway.egress.seams import Caller
    from gateway.ingress.codec.request import RequestHead

_LONGEST_S = 120.0
"""For a decision to wait for all that it needs."""


def begin(client: "ClientConnection", raw: bytes, head: "RequestHead") -> None:
    ask: Ask | None = None
    try:
        ask = _ask(client, raw, head)
        policy = policy_of(client.parts, client.caller)
        found = _decided_on(client, policy, ask, head)
        if isinstance(found, Pending):
            client.decide(_decide_later(client, raw, head, ask, policy, found), "decide")
        elif isinstance(found, Answer):
            client.answer(found, head, ask, policy)
        elif _must_wait(client.parts, policy, found):
            client.decide(_start_later(client, raw, head, ask, policy, found), "decide slowly")
        else:
            _start(client, raw, head, ask, policy, found)
    except hosts.BadHost as error:
        client.refuse_asked(Refusal(Refused.INVALID, str(error)), ask, head)
    except Refusal as refusal:
        client.refuse_asked(refusal, ask, head)


def policy_of(parts: "Parts", caller: "Caller | None") -> "Policy":
    """Raises Refusal."""
    assert caller is not None
    if not caller.is_here():
        raise Refusal(Refused.BAD_IDENTITY, "this actor does not run here any more")
    policy = parts.policies.of(caller.actor.policy)
    if policy is None:
        raise deciding.no_policy(caller.actor)
    return policy


def connect_ask(client: "ClientConnection", host: str, port: int, block: bytes) -> Ask:
    where = asked.Asked(way=Way.CONNECT, scheme="https", host=host, port=port, target="/")
    return _ask_of(client, where, "CONNECT", fields_of(block))


def _ask(client: "ClientConnection", raw: bytes, head: "RequestHead") -> Ask:
    """Raises Refusal, BadHost."""
    if client.opening is not None:
        what = asked.inside(client.opening, raw, head, is_tls=client.tls is not None)
    elif client.direct_port:
        client.who.learn(head.fields.block)
        what = asked.direct(raw, head, client.direct_port)
    else:
        target, token = asked.target_of(raw, head)
        client.who.learn(head.fields.block, token)
        what = asked.outside(raw, head, target)
    return _ask_of(client, what, head.method.decode(), fields_of(head.fields.block))


def _ask_of(client: "ClientConnection", what: asked.Asked, method: str, fields: Fields) -> Ask:
    assert client.caller is not None
    return Ask(
        actor=client.caller.actor,
        way=what.way,
        scheme=what.scheme,
        host=what.host,
        port=what.port,
        method=method,
        target=what.target,
        fields=fields,
        source=client.peer,
        connect_fields=client.connect_fields,
    )


def _decided_on(
    client: "ClientConnection", policy: "Policy", ask: Ask, head: "RequestHead"
) -> "Forward | Answer | Pending[Forward | Answer]":
    """Raises Refusal."""
    parts, siblings, named = client.parts, client.parts.siblings, head.fields.named
    if client.opening is not None:
        listeners = [opening.current(policy, client.opening, ask)]
    elif siblings is not None and siblings.is_one(ask.host):
        assert client.caller is not None
        open_calls = parts.calls_of(client.caller.key)
        return siblings.forward(ask, policy.document.actors, named, open_calls)
    else:
        listeners = policy.decider.listeners_for(ask)
    return begun(policy.decider.steps(ask, listeners, named, parts.now))


async def _decide_later(
    client: "ClientConnection",
    raw: bytes,
    head: "RequestHead",
    ask: Ask,
    policy: "Policy",
    pending: "Pending[Forward | Answer]",
) -> None:
    try:
        await _decide(client, raw, head, ask, policy, pending)
    finally:
        if not ask.is_sent:
            ask.let_go()


async def _decide(
    client: "ClientConnection",
    raw: bytes,
    head: "RequestHead",
    ask: Ask,
    policy: "Policy",
    pending: "Pending[Forward | Answer]",
) -> None:
    """What the decision itself has to wait for. It is a call of the actor's, too (P5)."""
    caller, parts = client.caller, client.parts
    assert caller is not None
    client.expires = parts.now + _LONGEST_S
    found: Forward | Answer | Refusal
    caller.begin_call()
    try:
        found = await pending.finish(
            lambda need: parts.waiting.meet(
                need, parts, policy, ask, lambda most: gather(client, head, ask, most)
            )
        )
    except ActorLeft:
        client.abort()
        return
    except Refusal as refusal:
        found = refusal
    finally:
        caller.end_call()
    # Meanwhile it may have left, or been suspended (then its connections were cut).
    if not client.is_open or not caller.is_here():
        client.abort()
        return
    if not isinstance(found, Answer | Refusal):
        await _start_later(client, raw, head, ask, policy, found)
        return
    client.decided()
    if isinstance(found, Answer):
        client.answer(found, head, ask, policy)
    else:
        client.refuse_asked(found, ask, head)
    client.read()


def _must_wait(parts: "Parts", policy: "Policy", forward: "Forward") -> bool:
    return bool(
        forward.delay_s
        or is_budgeted(policy.document, forward.call)
        or any(not parts.secrets.is_ready(each) for each in plans.needed(forward))
    )


async def _start_later(
    client: "ClientConnection",
    raw: bytes,
    head: "RequestHead",
    ask: Ask,
    policy: "Policy",
    forward: "Forward",
) -> None:
    parts = client.parts
    refusal: Refusal | None = None
    try:
        if forward.delay_s:
            await asyncio.sleep(forward.delay_s)
        if is_budgeted(policy.document, forward.call):
            await parts.metering.check(policy.document, ask, forward.call)
        await parts.secrets.ready(plans.needed(forward))
    except Refusal as error:
        refusal = error
    client.decided(resume=False)
    # Meanwhile it may have left, or been suspended (then its connections were cut).
    if not client.is_open or client.caller is None or not client.caller.is_here():
        client.abort()
        return
    try:
        if refusal is not None:
            raise refusal
        _start(client, raw, head, ask, policy, forward)
        client.resume()
    except Refusal as error:
        client.refuse_asked(error, ask, head)
        client.read()


def _start(
    client: "ClientConnection",
    raw: bytes,
    head: "RequestHead",
    ask: Ask,
    policy: "Policy",
    forward: "Forward",
) -> None:
    """Raises Refusal."""
    caller, parts = client.caller, client.parts
    assert caller is not None
    upgrade = head.fields.upgrade.decode("latin-1") if not head.fields.has_body else ""
    plan = plans.make(
        forward, ask, parts.secrets, caller=caller.key, decider=policy.decider, upgrade=upgrade
    )
    if repeating.may_repeat(plan, policy, head):
        client.last = known = (raw, head, plan, policy)
        if client.opening is not None:
            parts.plans.keep(caller, client.opening, known)
    rest = client.take_buffer()
    ask.is_sent = True
    # A body that was read for the decision stands before the rest, as it came.
    client.exchange(head, plan, policy, rest if plan.body is None else rest[ask.raw_size :])
