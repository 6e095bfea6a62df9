"""The RPC's wire: four bytes of length, then one MessagePack array. No I/O and no clock.

Both sides prove that they have the shared key before anything else is said; the key itself is never
sent, so that nobody who listens at a worker's old address learns it:

    worker  Challenge(magic, version, nonce)
    caller  Proof(magic, version, nonce, proof)
    worker  Welcome(proof) or Welcome(why not), then Reply for Call, in any order
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from enum import IntEnum
from typing import TypeVar

import msgspec

MAGIC = "rouse-rpc"
VERSION = 1
"""Raised when a frame or a record of `messages` changes so that the other side would misread it."""
NONCE = 16
PING, CANCEL = "ping", "cancel"
"""Calls that the protocol itself answers; CANCEL has the id of the call that is given up."""
MOST_TO_GREET = 1024
"""Bytes of one frame before the key was shown."""
MOST_TO_WORKER = 64 * 1024
MOST_TO_CALLER = 4 * 1024 * 1024
"""The end of a log is the largest answer."""
MOST_IN_FLIGHT = 4096
"""Calls on one connection that have no answer yet."""
_LENGTH = 4

T = TypeVar("T")


class BadFrame(Exception):
    """What came is none of ours, or larger than agreed: this connection is over."""


class Challenge(msgspec.Struct, frozen=True, array_like=True):
    magic: str
    version: int
    nonce: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True):
    magic: str
    version: int
    nonce: bytes
    proof: bytes


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    proof: bytes
    """That the worker has the key too; empty when it refuses."""
    refused: str = ""


class Call(msgspec.Struct, frozen=True, array_like=True):
    id: int
    name: str
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


class Kind(IntEnum):
    """Of a reply. Only with OK is its body the record of that call."""

    OK = 0
    REFUSED = 1
    """A `messages.Refused`."""
    NOT_UNDERSTOOD = 2
    BUSY = 3
    """As many calls are in flight as one connection may have."""
    BROKEN = 4
    """The worker's own mistake; its log says which."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    id: int
    kind: Kind
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


_pack = msgspec.msgpack.Encoder().encode


def frame(record: object) -> bytes:
    body = _pack(record)
    return len(body).to_bytes(_LENGTH, "big") + body


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_pack(value))


def read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise BadFrame(f"no {kind.__name__}: {error}") from error


class Splitter:
    """Bytes as they come in, bodies of frames out. `limit` may be raised between frames."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises BadFrame as soon as a frame says that it is too long, before its bytes are kept.
        Must be read to its end before more is fed."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= _LENGTH:
            begin = at + _LENGTH
            length = int.from_bytes(buffer[at:begin], "big")
            if length > self.limit:
                raise BadFrame(f"a frame of {length} bytes, where {self.limit} are allowed")
            if len(buffer) - begin < length:
                break
            at = begin + length
            yield buffer[begin:at]
        self._buffer = buffer[at:]


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE)


def proof(key: str | None, side: str, challenge: bytes, answer: bytes) -> bytes:
    """What `side` ("caller", "worker") shows; empty without a key."""
    if key is None:
        return b""
    said = b"\0".join((MAGIC.encode(), side.encode(), challenge, answer))
    return hmac.new(key.encode(), said, hashlib.sha256).digest()


def is_proof(given: bytes, wanted: bytes) -> bool:
    """Takes the same time whichever byte differs."""
    return hmac.compare_digest(given, wanted)
