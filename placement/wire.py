"""How a record stands in Redis: one packed array, so that a million actors sleep cheaply."""

import base64
import re
from collections.abc import Collection, Iterable
from functools import lru_cache

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


_TEXT_UID = b"=" * 9
"""Before a uid that is not 16 hex digits, which are kept as 8 bytes."""
_NAME = re.compile(r"(0|[1-9][0-9]{0,9})-([a-z2-7]{26})")
"""A snapshot's name as the vault makes it: an epoch, and 16 random bytes in base 32."""
_RANDOM = 16
_PACKED_NAME = b"\x01"
"""Before the random bytes as such and the epoch's digits; no other snapshot's id begins so."""


def pack_snapshot(snapshot: str | None) -> str | bytes | None:
    """A snapshot's id as it is kept: the usual form takes ten bytes less than its text."""
    found = None if snapshot is None else _NAME.fullmatch(snapshot)
    if found is None:
        return snapshot
    epoch, random = found.groups()
    packed = _PACKED_NAME + base64.b32decode(f"{random.upper()}======") + epoch.encode()
    # The last of the 26 digits has bits to spare: one that sets them is no name of the vault's.
    return packed if unpack_snapshot(packed) == snapshot else snapshot


@lru_cache(1024)  # an actor's name comes with each answer of a wake and a suspend
def unpack_snapshot(kept: bytes) -> str:
    if not kept.startswith(_PACKED_NAME):
        return kept.decode()
    random, epoch = kept[1 : _RANDOM + 1], kept[_RANDOM + 1 :]
    digits = base64.b32encode(random).decode().rstrip("=").lower()
    return f"{epoch.decode()}-{digits}"


def _unpack_uid(kept: bytes) -> str:
    return kept.hex() if len(kept) == 8 else kept.removeprefix(_TEXT_UID).decode()


def _bytes_of(value: msgspec.Raw) -> bytes:
    """Of a string: MessagePack has one kind for text and for bytes where Lua writes it."""
    text = bytes(value)
    head = text[0]
    if 0xA0 <= head <= 0xBF:
        return text[1:]
    begin = {0xD9: 2, 0xDA: 3}.get(head)
    if begin is None:
        raise ValueError(f"no string: {text[:20]!r}")
    return text[begin:]


class Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The places of lua/record.lua's array, in its order; what is absent is empty or left out."""

    uid: msgspec.Raw
    state: str
    epoch: int
    revision: int
    template: str
    created_s: int
    active_ms: int
    """After `created_s`."""
    call: str | int = ""
    snapshot: msgspec.Raw = msgspec.Raw(b"\xa0")
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
            uid=_unpack_uid(_bytes_of(found.uid)),
            state=STATE[found.state],
            epoch=found.epoch,
            revision=found.revision,
            template=found.template,
            snapshot=unpack_snapshot(_bytes_of(found.snapshot)) or None,
            worker=found.worker or None,
            incarnation=found.incarnation or None,
            door=found.door or None,
            deadline_ms=found.deadline_ms or None,
            failures=found.failures,
            retry_at_ms=found.retry_at_ms or None,
            reason=found.reason or None,
            policy=found.policy or None,
            created_ms=1000 * found.created_s,
            active_ms=1000 * found.created_s + found.active_ms,
        )
    except (KeyError, ValueError) as error:
        raise RecordRefused(f"the record of {actor} is not one of ours: {error!r}") from error


def encode(values: Iterable[str | bytes | int | None]) -> list[str | bytes]:
    """Arguments as the scripts take them: what is not there is empty."""
    return ["" if v is None else str(v) if isinstance(v, int) else v for v in values]
