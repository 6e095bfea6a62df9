"""How a record stands in Redis: one-letter fields and states, so that a million sleep cheaply.

The letters are explained in lua/record.lua. A hash this small is one compact block for Redis.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

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
Fields: TypeAlias = Mapping[Any, Any]
"""Bytes by bytes; redis-py's types say that they might be text, which our client never asks for."""
GONE = b"g"
"""Field of a tombstone: a deleted actor, kept for a minute to answer repeats."""


def letters(states: Collection[ActorState]) -> str:
    """States as the scripts take them, in the enum's order."""
    return "".join(LETTER[state] for state in ActorState if state in states)


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    """The flat list a script answers with, as fields."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def decode(actor: ActorId, fields: Fields) -> ActorRecord | None:
    """The record; None when there is no such actor (any more). Raises RecordRefused."""
    if not fields or GONE in fields:
        return None
    try:
        return ActorRecord(
            actor=actor,
            uid=fields[b"u"].decode(),
            state=STATE[fields[b"s"].decode()],
            epoch=int(fields[b"e"]),
            revision=int(fields[b"r"]),
            template=fields[b"t"].decode(),
            snapshot=_text(fields, b"p"),
            worker=_text(fields, b"w"),
            incarnation=_text(fields, b"i"),
            door=_text(fields, b"o"),
            deadline_ms=_number(fields, b"d"),
            failures=_number(fields, b"f") or 0,
            retry_at_ms=_number(fields, b"b"),
            reason=_text(fields, b"x"),
            policy=_text(fields, b"y"),
            created_ms=int(fields[b"m"]),
            active_ms=int(fields[b"a"]),
        )
    except (KeyError, ValueError) as error:
        raise RecordRefused(f"the record of {actor} is not one of ours: {error!r}") from error


def encode(values: Iterable[str | int | None]) -> list[str]:
    """Arguments as the scripts take them: what is not there is empty."""
    return ["" if value is None else str(value) for value in values]


def _text(fields: Fields, field: bytes) -> str | None:
    found = fields.get(field)
    return None if found is None else str(found.decode())


def _number(fields: Fields, field: bytes) -> int | None:
    found = fields.get(field)
    # Back-off is computed in Lua's doubles, which may leave a fraction.
    return None if found is None else int(float(found))
