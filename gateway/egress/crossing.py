"""Crossing: an HTTP/1.1 message as fields of HTTP/2 (RFC 9113, section 8) and back. No I/O.

What comes from HTTP/2 can hold what would end a line of HTTP/1.1, so every name and value is
checked before it becomes text, whatever the library below has checked.
"""

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody
from gateway.ingress.codec.grammar import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable

Pairs = list[tuple[bytes, bytes]]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
_STATUS = re.compile(rb"[1-5][0-9]{2}")
_OF_A_CONNECTION = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
"""RFC 9113, section 8.2.2: a message that has one is malformed."""


def request_of(head: bytes, scheme: bytes) -> tuple[Pairs, Body]:
    """Of a head that a plan wrote, without its empty line. Raises Malformed for what HTTP/2 does
    not carry."""
    line, *lines = head.split(b"\r\n")
    method, target, _version = line.split(b" ")
    fields: Pairs = []
    authority = b""
    body: Body = NO_BODY
    for each in lines:
        name, _colon, value = each.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            authority = value
        elif name == b"transfer-encoding":
            body = ChunkedBody(with_spans=True)
        elif name in _OF_A_CONNECTION:
            raise Malformed("it asks for another protocol, which HTTP/2 does not change to")
        else:
            if name == b"content-length":
                body = LengthBody(int(value))
            fields.append((name, value))
    pseudo = [
        (b":method", method),
        (b":scheme", scheme),
        (b":authority", authority),
        (b":path", target),
    ]
    return pseudo + fields, body


class Answer:
    """One answer as HTTP/1.1, framed by its length where it says one, else by chunks."""

    __slots__ = ("_is_chunked", "_method")

    def __init__(self, method: bytes) -> None:
        self._method = method
        self._is_chunked = False

    def head(self, pairs: "Iterable[tuple[bytes, bytes]]", *, is_last: bool) -> bytes:
        """Raises Malformed."""
        status, has_length = b"", False
        lines: list[bytes] = []
        for name, value in pairs:
            if name == b":status":
                if status or lines or _STATUS.fullmatch(value) is None:
                    raise Malformed("an answer has one status, before its fields")
                status = value
                continue
            lines.append(_line(name, value))
            has_length = has_length or name == b"content-length"
        if not status or status == b"101":
            raise Malformed("an answer without a status that HTTP/2 has")
        code = int(status)
        if code >= 200 and self._method != b"HEAD" and code not in (204, 304) and not has_length:
            self._is_chunked = not is_last
            lines.append(b"content-length: 0" if is_last else b"transfer-encoding: chunked")
        line = b"HTTP/1.1 %b %b" % (status, _phrase(code))
        return b"\r\n".join((line, *lines)) + b"\r\n\r\n"

    def data(self, data: bytes) -> bytes:
        if not self._is_chunked:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data) if data else b""

    def end(self, trailers: "Iterable[tuple[bytes, bytes]]" = ()) -> bytes:
        """Raises Malformed. Behind a length there is no room for trailers, and they may be left
        out (RFC 9110, section 6.5.1)."""
        lines = [_line(name, value) for name, value in trailers]
        if not self._is_chunked:
            return b""
        return b"\r\n".join((b"0", *lines)) + b"\r\n\r\n"


def _line(name: bytes, value: bytes) -> bytes:
    if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        raise Malformed("a field that HTTP/1.1 can't carry")
    if name in _OF_A_CONNECTION:
        raise Malformed("a field of the connection in HTTP/2")
    return b"%b: %b" % (name, value)


def _phrase(code: int) -> bytes:
    try:
        return HTTPStatus(code).phrase.encode()
    except ValueError:
        return b""


_HEADER = 9
_GOAWAY = 7
_LONGEST_GOAWAY = 16 * 1024


class GoAways:
    """Takes GOAWAY frames out of what a server sends. The library takes one for the end of
    everything, but what was begun before it goes on (RFC 9113, section 6.8): nginx says it in front
    of the answer to each thousandth request."""

    __slots__ = ("_held", "_left", "last_stream")

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        """Bytes of a frame that pass as they are."""
        self.last_stream: int | None = None
        """The last one that the server will answer; None: it takes more."""

    def __repr__(self) -> str:
        return f"<GoAways last {self.last_stream}>"

    def feed(self, data: bytes) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        at, start, pieces = min(self._left, len(data)), 0, []
        self._left -= at
        while not self._left and at < len(data):
            size = _HEADER + int.from_bytes(data[at : at + 3])
            is_whole = len(data) - at >= _HEADER
            if is_whole and (data[at + 3] != _GOAWAY or size > _LONGEST_GOAWAY):
                self._left = max(0, size - (len(data) - at))
                at = min(at + size, len(data))
                continue
            pieces.append(data[start:at])
            if not is_whole or len(data) - at < size:
                self._held = data[at:]
                return b"".join(pieces)
            if size >= _HEADER + 8:
                self._noted(int.from_bytes(data[at + 9 : at + 13]) & 0x7FFFFFFF)
            start = at = at + size
        pieces.append(data[start:at])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _noted(self, last: int) -> None:
        self.last_stream = last if self.last_stream is None else min(last, self.last_stream)
