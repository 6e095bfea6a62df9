"""Response heads: status, framing and fate of the connection, from the bytes an actor sent."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gateway.ingress.codec.grammar import (
    MAX_HEAD,
    Malformed,
    check_block,
    check_connection,
    check_unfinished,
    parse_chunked,
    parse_length,
    parse_list,
)

# RFC 9112, section 4; the space before an absent reason is often missing, and harmless.
_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*+)?")
_WANTED: Final = re.compile(
    rb"\r\n(?i:(content-length|transfer-encoding|connection|upgrade|rouse-stale)):([^\r]*)"
)


class Framing(Enum):
    """How the end of an answer's body is known (RFC 9112, section 6.3)."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    raw: bytes
    """The head as it came, with its empty line."""
    status: int
    line: bytes
    """`200 OK`: what follows the version."""
    minor: int
    block: bytes
    length: int | None
    chunked: bool
    keeps_alive: bool
    named: frozenset[bytes]
    upgrade: bytes
    is_stale: bool
    """Another door of ours says that the actor is not there."""

    def framing(self, method: bytes) -> Framing:
        if method == b"HEAD" or self.status < 200 or self.status in (204, 304):
            return Framing.NONE
        if self.chunked:
            return Framing.CHUNKED
        if self.length is not None:
            return Framing.LENGTH
        return Framing.UNTIL_CLOSE


def scan_answer(data: bytes, known: AnswerHead | None = None) -> AnswerHead | None:
    """The head that `data` begins with; None when it is not all there. Raises Malformed."""
    if known is not None and data.startswith(known.raw):
        # `raw` holds its empty line, so what starts with it has exactly that head.
        return known
    end = data.find(b"\r\n\r\n")
    if end < 0:
        check_unfinished(data)
        return None
    if end > MAX_HEAD:
        raise Malformed("the answer's head is too large")
    line_end = data.find(b"\r\n")
    line = _LINE.fullmatch(data, 0, line_end)
    if line is None:
        raise Malformed("the answer does not begin with an HTTP/1.1 status line")
    return _build(data, 1 if line[1] == b"1" else 0, int(line[2]), line_end, end)


def _build(data: bytes, minor: int, status: int, line_end: int, end: int) -> AnswerHead:
    block = data[line_end:end]
    check_block(block)
    found: dict[bytes, list[bytes]] = {}
    for name, value in _WANTED.findall(block):
        found.setdefault(name.lower(), []).append(value.strip(b" \t"))
    length = parse_length(found.get(b"content-length", []))
    chunked = parse_chunked(found.get(b"transfer-encoding", []), length is not None)
    if chunked and not minor:
        raise Malformed("Transfer-Encoding in an HTTP/1.0 answer")  # RFC 9112, section 6.1
    named = parse_list(found.get(b"connection", []))
    check_connection(named)
    return AnswerHead(
        raw=data[: end + 4],
        status=status,
        line=data[9:line_end] if line_end > 12 else data[9:line_end] + b" ",
        minor=minor,
        block=block,
        length=length,
        chunked=chunked,
        keeps_alive=b"close" not in named if minor else b"keep-alive" in named,
        named=named - {b"close", b"keep-alive", b"upgrade"},
        upgrade=b", ".join(found.get(b"upgrade", [])),
        is_stale=b"rouse-stale" in found,
    )
