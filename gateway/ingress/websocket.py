"""WebSocket frames (RFC 6455, section 5.2), as far as a tunnel has to know them: which bytes are
data and which are pings, where a frame ends, and the close frame that ends a connection. No I/O.

Frames pass through as they come; only their headers are read, and nothing is put together again.
"""

import os
from enum import IntEnum

_FIRST_CONTROL = 8
_CLOSE = 8
_LONGEST_CONTROL = 125
_MASKED = 0x80


class CloseCode(IntEnum):
    """RFC 6455, section 7.4.1, and the IANA registry made by it."""

    GOING_AWAY = 1001
    """The actor is stopped, or was quiet for too long."""
    RESTART = 1012
    """This process is: come back, and another one (or its successor) takes you."""


class Frames:
    """One direction of a connection. What is no frame makes it `lost`: from there on every byte
    counts as data (an actor must not be taken for idle), and no frame end is ever known."""

    __slots__ = ("_header", "_is_data", "_remaining", "has_closed", "is_lost")

    def __init__(self) -> None:
        self._header = b""
        """Of a frame whose header is not all here yet."""
        self._remaining = 0
        self._is_data = False
        self.has_closed = False
        """A close frame went by: nothing may follow it (section 5.5.1)."""
        self.is_lost = False

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "closed" if self.has_closed else "open"
        return f"<Frames {state}, {self._remaining} bytes of a frame to come>"

    @property
    def is_between(self) -> bool:
        """A frame of ours may be put in here."""
        return not (self._remaining or self._header or self.is_lost)

    @property
    def may_close(self) -> bool:
        return self.is_between and not self.has_closed

    def feed(self, data: bytes) -> bool:
        """True when some of `data` belongs to a data frame, which is activity; pings are not."""
        if self.is_lost:
            return True
        position, size = 0, len(data)
        has_data = False
        while position < size:
            if self._remaining:
                step = min(self._remaining, size - position)
                self._remaining -= step
                position += step
                has_data = has_data or self._is_data
                continue
            header = self._header + data[position : position + 14 - len(self._header)]
            length = _header_length(header)
            if length > len(header):
                self._header = header
                break
            position += length - len(self._header)
            self._header = b""
            if not self._begin(header, length):
                self.is_lost = True
                return True
            has_data = has_data or self._is_data
        return has_data

    def _begin(self, header: bytes, length: int) -> bool:
        """False when this cannot be a frame's header."""
        opcode, size = header[0] & 0x0F, header[1] & 0x7F
        if size == 126:
            size = int.from_bytes(header[2:4], "big")
        elif size == 127:
            size = int.from_bytes(header[2:10], "big")
        if size >> 63 or (opcode >= _FIRST_CONTROL and size > _LONGEST_CONTROL):
            return False
        self._remaining = size
        self._is_data = opcode < _FIRST_CONTROL
        self.has_closed = self.has_closed or opcode == _CLOSE
        return True


def _header_length(header: bytes) -> int:
    if len(header) < 2:
        return 2
    size = header[1] & 0x7F
    extended = 8 if size == 127 else 2 if size == 126 else 0
    return 2 + extended + (4 if header[1] & _MASKED else 0)


def close_frame(code: CloseCode, reason: str, *, masked: bool) -> bytes:
    """`masked` is for what a client sends, so for the side of the actor (section 5.3)."""
    payload = int(code).to_bytes(2, "big") + reason.encode()
    assert len(payload) <= _LONGEST_CONTROL
    if not masked:
        return bytes((0x80 | _CLOSE, len(payload))) + payload
    key = os.urandom(4)
    hidden = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return bytes((0x80 | _CLOSE, _MASKED | len(payload))) + key + hidden
