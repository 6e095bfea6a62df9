"""How a record stands in Redis: one packed array, so that a million actors sleep cheaply."""

from collections.abc import Collection, Iterable

import msgspec

from placement.errors import RecordRefused
from placement.model import ActorId, ActorRecord, ActorState

LETTER = {
    ActorState.SUSPENDED: "S",
    ActorState.WAKING: "W",
    ActorState.RUNNING: "R",
    ActorState.SUSPENDING: "U",
    ActorState.FAILED: "F",
}
STATE = {letter: state for state, letter in LETTER.items()}
GONE = "-"
"""State of a tombstone: a deleted actor, kept for a minute to answer repeats."""


class Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The places of lua/record.lua's array, in its order; what is absent is empty or left out."""

    uid: str
    state: str
    epoch: int
    revision: int
    template: str
    created_ms: int
    active_ms: int
    call: str = ""
    snapshot: str = ""
    worker: str = ""
    failures: int = 0
    reason: str = ""
    policy: str = ""
    incarnation: str = ""
    door: str = ""
    deadline_ms: int = 0
    retry_at_ms: int = 0
    policy_call: str = ""


_decoder = msgspec.msgpack.Decoder(Packed)


def letters(states: Collection[ActorState]) -> str:
    """States as the scripts take them, in the enum's order."""
    return "".join(LETTER[state] for state in ActorState if state in states)


def decode(actor: ActorId, packed: bytes | None) -> ActorRecord | None:
    """The record; None when there is no such actor (any more). Raises RecordRefused."""
    if not packed:
        return None
    try:
        found = _decoder.decode(packed)
        if found.state == GONE:
            return None
        return ActorRecord(
            actor=actor,
            uid=found.uid,
            state=STATE[found.state],
            epoch=found.epoch,
            revision=found.revision,
            template=found.template,
            snapshot=found.snapshot or None,
            worker=found.worker or None,
            incarnation=found.incarnation or None,
            door=found.door or None,
            deadline_ms=found.deadline_ms or None,
            failures=found.failures,
            retry_at_ms=found.retry_at_ms or None,
            reason=found.reason or None,
            policy=found.policy or None,
            created_ms=found.created_ms,
            active_ms=found.active_ms,
        )
    except (KeyError, ValueError) as error:
        raise RecordRefused(f"the record of {actor} is not one of ours: {error!r}") from error


def encode(values: Iterable[str | int | None]) -> list[str]:
    """Arguments as the scripts take them: what is not there is empty."""
    return ["" if value is None else str(value) for value in values]
