"""Request heads: from the bytes of a connection to the few things the relay must know of them.

A client mostly repeats its fields from one request to the next, so the caller passes in what the
last block came to; a block equal to that one is not looked at again.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.ingress.codec.grammar import (
    MAX_HEAD,
    MAX_TARGET,
    TOKEN,
    Fault,
    Malformed,
    check_block,
    check_connection,
    check_unfinished,
    parse_chunked,
    parse_length,
    parse_list,
)

# RFC 9112, section 3: one space between the parts (a strict reading; 3 allows it), RFC 3986 for
# the target: visible ASCII, and no fragment.
_LINE: Final = re.compile(rb"(" + TOKEN + rb"{1,32}+) ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(rb"[^\r\n]* HTTP/(?!1\.[01])[0-9](?:\.[0-9])?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#]*)(.*)", re.DOTALL)
# RFC 9110, section 7.2; user information and percent signs have no place in it.
_HOST = re.compile(rb"(?:[0-9A-Za-z._~-]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]{0,5})?")

_WANTED: Final = re.compile(
    rb"\r\n(?i:(host|content-length|transfer-encoding|connection|upgrade|expect|x-request-id))"
    rb":([^\r]*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFields:
    """What the fields of a request say about its body, its connection and its place."""

    block: bytes
    """The fields as they came, a CRLF before each."""
    host: bytes = b""
    """Empty when there is none, which only HTTP/1.0 may do."""
    length: int | None = None
    chunked: bool = False
    close: bool = False
    keep_alive: bool = False
    named: frozenset[bytes] = frozenset()
    """Fields that Connection names: they are for this hop only."""
    upgrade: bytes = b""
    expects_continue: bool = False
    request_id: bytes = b""

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)


NO_FIELDS = RequestFields(block=b"")


class RequestHead:
    """A class of its own, not a tuple: compiled, its attributes are a pointer's distance away."""

    __slots__ = ("fields", "keeps_alive", "method", "minor", "size", "target")

    def __init__(
        self, method: bytes, target: bytes, minor: int, fields: RequestFields, size: int
    ) -> None:
        self.method = method
        self.target = target
        """Origin form (`/path?query`), or `*`."""
        self.minor = minor
        self.fields = fields
        self.size = size
        """How many bytes of the buffer this head was."""
        self.keeps_alive = not fields.close if minor else fields.keep_alive
        """RFC 9112, section 9.3."""

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r}, {self.size} bytes>"


def scan_request(data: bytes, known: RequestFields = NO_FIELDS) -> RequestHead | None:
    """The head that `data` begins with; None when it is not all there. Raises Malformed."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        _check_beginning(data)
        return None
    if data.startswith(b"\r\n"):
        return _scan_after_empty_lines(data, known)
    line_end = data.find(b"\r\n")
    line = _LINE.fullmatch(data, 0, line_end)
    if line is None or end > MAX_HEAD or line.end(2) - line.start(2) > MAX_TARGET:
        raise _explain(data, line_end, end)
    method, target, digit = line.groups()
    block = data[line_end:end]
    fields = known if block == known.block else scan_fields(block)
    minor = 1 if digit == b"1" else 0
    if not minor and fields.chunked:
        # RFC 9112, section 6.1: faulty framing; whatever came before us did not understand it.
        raise Malformed("Transfer-Encoding in an HTTP/1.0 request")
    if minor and not fields.host:
        raise Malformed("an HTTP/1.1 request without Host")  # RFC 9112, section 3.2
    if target[0] != 0x2F or method == b"CONNECT":
        target = _to_origin_form(method, target, fields.host)
    return RequestHead(method, target, minor, fields, end + 4)


def scan_fields(block: bytes) -> RequestFields:
    check_block(block)
    found: dict[bytes, list[bytes]] = {}
    for name, value in _WANTED.findall(block):
        found.setdefault(name.lower(), []).append(value.strip(b" \t"))
    hosts = found.get(b"host", [])
    if len(hosts) > 1 or (hosts and _HOST.fullmatch(hosts[0]) is None):
        raise Malformed("Host is empty, repeated or not a host")  # RFC 9112, section 3.2
    length = parse_length(found.get(b"content-length", []))
    named = parse_list(found.get(b"connection", []))
    check_connection(named)
    expect = parse_list(found.get(b"expect", []))
    ids = found.get(b"x-request-id", [])
    return RequestFields(
        block=block,
        host=hosts[0] if hosts else b"",
        length=length,
        chunked=parse_chunked(found.get(b"transfer-encoding", []), length is not None),
        close=b"close" in named,
        keep_alive=b"keep-alive" in named,
        named=named - {b"close", b"keep-alive", b"upgrade"},
        upgrade=_upgrade(found.get(b"upgrade", []), named),
        expects_continue=b"100-continue" in expect,
        request_id=ids[0] if len(ids) == 1 else b"",
    )


def _upgrade(values: list[bytes], named: frozenset[bytes]) -> bytes:
    # RFC 9110, section 7.8. `h2c` would carry requests that nobody here reads (a known way to
    # smuggle), so it is not passed on; a server may ignore any Upgrade.
    if b"upgrade" not in named or b"h2c" in parse_list(values):
        return b""
    return b", ".join(values)


def _to_origin_form(method: bytes, target: bytes, host: bytes) -> bytes:
    if method == b"CONNECT":
        raise Malformed("CONNECT: this is no tunnel", Fault.NOT_IMPLEMENTED)
    if target == b"*" and method == b"OPTIONS":  # RFC 9112, section 3.2.4
        return target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Malformed("a target that is neither a path nor an absolute URL")
    authority, rest = absolute.groups()
    if authority.lower() != host.lower():
        # RFC 9112, section 3.2.2 lets the target win; two names for one request are refused here.
        raise Malformed("the target's host is not the one in Host")
    path: bytes = rest if rest.startswith(b"/") else b"/" + rest
    return path


def _check_beginning(data: bytes) -> None:
    check_unfinished(data)
    line_end = data.find(b"\r\n", 2)
    if (line_end if line_end >= 0 else len(data)) > MAX_TARGET + 64:
        raise Malformed(f"target longer than {MAX_TARGET} bytes", Fault.TARGET_TOO_LONG)


def _scan_after_empty_lines(data: bytes, known: RequestFields) -> RequestHead | None:
    # RFC 9112, section 2.2: one empty line before a request is forgiven; two, since some add both
    # the one after a body and the one before a request.
    skip = 4 if data.startswith(b"\r\n\r\n") else 2
    if data.startswith(b"\r\n", skip):
        raise Malformed("empty lines instead of a request")
    head = scan_request(data[skip:], known)
    if head is not None:
        head.size += skip
    return head


def _explain(data: bytes, line_end: int, end: int) -> Malformed:
    if line_end > MAX_TARGET:
        return Malformed(f"target longer than {MAX_TARGET} bytes", Fault.TARGET_TOO_LONG)
    if end > MAX_HEAD:
        return Malformed(f"head longer than {MAX_HEAD} bytes", Fault.HEAD_TOO_LARGE)
    if _OTHER_VERSION.fullmatch(data, 0, line_end):
        return Malformed("a version of HTTP that is not spoken here", Fault.NOT_IMPLEMENTED)
    return Malformed("the request line is not `method target HTTP/1.1`")
