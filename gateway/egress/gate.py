"""The gate of a listener or a route: its policies in agentgateway's order, up to the rules.

cors, jwtAuth, basicAuth, apiKey, extAuthz, authorization, transformations. What it finds out goes
into the ask, where expressions see it; what it takes out of the request is gone for all after it.
"""

from dataclasses import dataclass, field, replace

from gateway.egress import authz, cors, heads
from gateway.egress.ask import Ask, Fields
from gateway.egress.callers import checking
from gateway.egress.callers.keyring import Keyring
from gateway.egress.cel import CelFailed
from gateway.egress.config.gate_model import Gate
from gateway.egress.config.values import Computed, Edits, Rules
from gateway.egress.needs import Steps
from gateway.egress.refusals import Answer, Refusal, Refused


@dataclass(slots=True, kw_only=True)
class Passage:
    """What becomes of a request on its way through the gates."""

    ask: Ask
    fields: Fields
    """As they go on."""
    edits: tuple[Edits, ...] = ()
    """Of the answer."""
    answered: tuple[Computed, ...] = ()
    rules: Rules = field(default_factory=Rules)
    """Of all levels so far: they add up."""
    once: bool = False
    """Something was asked, or holds for a time: an equal request is decided anew."""


def passed(
    gate: Gate, passage: Passage, keyring: Keyring, *, is_last: bool = True
) -> Steps[Answer | None]:
    """An answer, where the gate itself gives one. Raises Refusal."""
    ask = passage.ask
    if gate.cors is not None:
        answer = cors.answer(gate.cors, ask)
        if answer is not None:
            return answer
        passage.edits += cors.added(gate.cors, ask)
    if gate.jwt is not None:
        passage.once = True  # it expires
        passage.fields = yield from checking.by_token(gate.jwt, ask, passage.fields, keyring)
    if gate.basic is not None:
        passage.once = True
        passage.fields = yield from checking.by_password(gate.basic, ask, passage.fields, keyring)
    if gate.api_keys is not None:
        passage.fields = checking.by_key(gate.api_keys, ask, passage.fields)
    if gate.authz is not None:
        passage.once = True
        passage.fields = yield from authz.consulted(gate.authz, ask, passage.fields)
    passage.rules += gate.rules
    # The rules of all levels add up, so what one allows is known at the last of them.
    check(passage.rules if is_last else replace(passage.rules, allow=()), ask)
    passage.fields = heads.computed(passage.fields, gate.computed, ask)
    passage.answered += gate.answered
    return None


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
    """Raises Refusal."""
    if rules and (why := allows(rules, ask)) is not None:
        raise Refusal(Refused.FORBIDDEN, f"{ask.method} {ask.host}:{ask.port}: {why}")
