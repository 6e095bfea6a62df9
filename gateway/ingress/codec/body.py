"""Bodies: where the bytes of one message end, found while they pass through unchanged.

Each machine is fed what arrived and says how much of it is still its body. Nothing is copied, so
the caller may send on the same bytes object when all of it belongs.
"""

import re
from abc import ABC, abstractmethod
from typing import Final

from gateway.ingress.codec.grammar import BLOCK, Malformed

MAX_CHUNK_LINE = 1024
"""A chunk's size and its extensions (RFC 9112, section 7.1.1, asks for a limit)."""
MAX_TRAILERS = 8 * 1024

# 15 hex digits hold any length that fits a signed 64-bit integer. RFC 9112, section 7.1: an
# extension follows a semicolon; its text may not hold controls, least of all CR or LF. The space
# that 7.1.1 forgives before the semicolon is refused: strict servers (h11) do not read it.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:;[\t\x20-\x7e\x80-\xff]*+)?+\r\n")
# Of a line that is not all here yet, but goes on already.
_PART_OF_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,15}+(?:;[\t\x20-\x7e\x80-\xff]*+)?+\r?+")
_PART_OF_FIELD = re.compile(rb"[\t\x20-\x7e\x80-\xff]*+\r?+")
# RFC 9110, section 6.5.1: what frames, routes or names must not come after the body.
_FORBIDDEN_TRAILER = re.compile(
    rb"\r\n(?i:content-length|transfer-encoding|host|connection|trailer|rouse-[^:]*):"
)


class Body(ABC):
    """A base class and not a Protocol: compiled, a call of it is a jump through a table."""

    __slots__ = ("is_done",)

    def __init__(self, is_done: bool) -> None:
        self.is_done = is_done

    @abstractmethod
    def feed(self, data: bytes, start: int) -> int:
        """Take `data` from `start`; return where this body's part of it ends. Raises Malformed."""

    def ends_with_connection(self) -> bool:
        """Is the body whole if the peer closes now?"""
        return self.is_done


class NoBody(Body):
    __slots__ = ()

    def feed(self, data: bytes, start: int) -> int:
        return start


NO_BODY: Final = NoBody(True)


class LengthBody(Body):
    """Exactly so many bytes."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        super().__init__(length == 0)
        self.remaining = length

    def feed(self, data: bytes, start: int) -> int:
        end = start + self.remaining
        if end > len(data):
            end = len(data)
        self.remaining -= end - start
        self.is_done = not self.remaining
        return end


class UntilClose(Body):
    """All there is until the peer closes: only answers may be framed so."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(False)

    def feed(self, data: bytes, start: int) -> int:
        return len(data)

    def ends_with_connection(self) -> bool:
        return True


_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3


class ChunkedBody(Body):
    """RFC 9112, section 7.1. With `spans` it also notes where the data inside the chunks lies."""

    __slots__ = ("_held", "_phase", "_remaining", "spans")

    def __init__(self, *, with_spans: bool = False) -> None:
        super().__init__(False)
        self.spans: list[bytes] | None = [] if with_spans else None
        self._phase = _SIZE
        """What comes next."""
        self._remaining = 0
        self._held = b""
        """A line that is not complete: already passed on, but not yet understood."""

    def feed(self, data: bytes, start: int) -> int:
        end = len(data)
        while start < end and not self.is_done:
            if self._phase == _DATA:
                start = self._data(data, start)
            elif self._phase == _DATA_END:
                start = self._data_end(data, start)
            elif self._phase == _SIZE:
                start = self._size(data, start)
            else:
                start = self._trailers(data, start)
        return start

    def take_data(self) -> bytes:
        """What lay inside the chunks since the last call (with `with_spans` only)."""
        data = b"".join(self.spans or ())
        self.spans = []
        return data

    def _size(self, data: bytes, start: int) -> int:
        line, after = self._line(data, start, MAX_CHUNK_LINE)
        if line is None:
            return after
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise Malformed("a chunk's size is not a hex number")
        self._remaining = int(match[1], 16)
        if self._remaining:
            self._phase = _DATA
        else:
            self._phase = _TRAILERS
            self._held = b"\r\n"  # so that fields look as in a head: a CRLF before each
        return after

    def _data(self, data: bytes, start: int) -> int:
        end = min(start + self._remaining, len(data))
        if self.spans is not None:
            self.spans.append(data[start:end])
        self._remaining -= end - start
        if not self._remaining:
            self._phase = _DATA_END
        return end

    def _data_end(self, data: bytes, start: int) -> int:
        got = self._held + data[start : start + 2 - len(self._held)]
        if not b"\r\n".startswith(got):
            raise Malformed("a chunk is longer than it said")
        after = start + len(got) - len(self._held)
        if len(got) == 2:
            self._held, self._phase = b"", _SIZE
        else:
            self._held = got
        return after

    def _trailers(self, data: bytes, start: int) -> int:
        before = len(self._held)
        text = self._held + data[start : start + MAX_TRAILERS + 4]
        end = text.find(b"\r\n\r\n")
        if (end if end >= 0 else len(text)) > MAX_TRAILERS:
            raise Malformed("trailers are too long")
        if end < 0:
            # What is passed on must not end the message for a reader that is laxer than we are.
            whole = text.rfind(b"\r\n")
            rest = text[whole + 2 :]
            if BLOCK.fullmatch(text, 0, whole) is None or _PART_OF_FIELD.fullmatch(rest) is None:
                raise Malformed("a trailer that is no field")
            self._held = text
            return len(data)
        block = text[:end]
        if BLOCK.fullmatch(block) is None or _FORBIDDEN_TRAILER.search(block):
            raise Malformed("a trailer that is no field, or may not be one")
        self.is_done = True
        return start + end + 4 - before

    def _line(self, data: bytes, start: int, limit: int) -> tuple[bytes | None, int]:
        """A whole line with its end, and the index after it; None while it is incomplete."""
        newline = data.find(b"\n", start, start + limit)
        if newline < 0:
            self._held += data[start : start + limit]
            if len(self._held) >= limit:
                raise Malformed("a chunk's line is too long")
            if _PART_OF_CHUNK_LINE.fullmatch(self._held) is None:
                raise Malformed("a chunk's size is not a hex number")
            return None, len(data)
        line = self._held + data[start : newline + 1]
        self._held = b""
        return line, newline + 1
