"""The grammar of RFC 9110 and 9112 as bytes patterns, and what a breach of it is called."""

import re
from enum import StrEnum
from typing import Final

MAX_HEAD: Final = 64 * 1024
MAX_TARGET: Final = 16 * 1024
MAX_FIELDS: Final = 256

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""RFC 9110, section 5.6.2."""

# RFC 9112, section 5: no space before the colon (5.1), no line folding (5.2), no bare CR or LF
# (2.2), no NUL (RFC 9110, 5.5). Other controls have no use there but to confuse somebody's log.
# A block is what stands between the start line and the empty line: CRLF before each field.
BLOCK = re.compile(rb"(?:\r\n" + TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+)*+")

_BARE_LF = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\r\n[ \t]")
_SPACE_BEFORE_COLON = re.compile(rb"\r\n" + TOKEN + rb"++[ \t]++:")


class Fault(StrEnum):
    """What is wrong with a message; the values are those of the relay's reasons."""

    BAD = "bad-request"
    TARGET_TOO_LONG = "target-too-long"
    HEAD_TOO_LARGE = "head-too-large"
    NOT_IMPLEMENTED = "not-implemented"


class Malformed(Exception):
    """The peer did not speak the HTTP/1.1 that we accept; the message is fit for it to read."""

    def __init__(self, message: str, fault: Fault = Fault.BAD) -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault


def check_block(block: bytes) -> None:
    """Raise Malformed unless `block` is nothing but well-formed fields, and not too many."""
    if block.count(b"\r\n") > MAX_FIELDS:
        raise Malformed(f"more than {MAX_FIELDS} fields", Fault.HEAD_TOO_LARGE)
    if BLOCK.fullmatch(block) is None:
        raise Malformed(_why(block))


def _why(block: bytes) -> str:
    if b"\0" in block:
        return "NUL in a field"
    if _BARE_LF.search(block) or block.replace(b"\r\n", b"").count(b"\r"):
        return "a line that does not end in CRLF"
    if _FOLDED.search(block):
        return "a folded field line"
    if _SPACE_BEFORE_COLON.search(block):
        return "space between a field's name and its colon"
    return "a line that is no field"


def check_unfinished(data: bytes) -> None:
    """Raise Malformed when no further bytes could make `data` the beginning of a good head."""
    if len(data) > MAX_HEAD:
        raise Malformed(f"head longer than {MAX_HEAD} bytes", Fault.HEAD_TOO_LARGE)
    if _BARE_LF.search(data):
        # Else a client that ends its lines in LF would wait for us until the head's budget ends.
        raise Malformed("a line that does not end in CRLF")
    if b"\0" in data:
        raise Malformed("NUL in a head")


def parse_length(values: list[bytes]) -> int | None:
    """Content-Length (RFC 9110, section 8.6): digits, once. A list of equal ones may be refused."""
    if not values:
        return None
    if len(values) > 1:
        raise Malformed("Content-Length more than once")
    value = values[0]
    # 15 digits are a petabyte: past that it is an attack on somebody's integer.
    if not value.isdigit() or len(value) > 15:
        raise Malformed("Content-Length is not a number of sensible size")
    return int(value)


def parse_chunked(values: list[bytes], has_length: bool) -> bool:
    """Transfer-Encoding (RFC 9112, section 6.1): none, or `chunked` alone and without a length."""
    if not values:
        return False
    if has_length:
        raise Malformed("Content-Length together with Transfer-Encoding")  # 6.3, item 3
    if len(values) > 1 or values[0].lower() != b"chunked":
        raise Malformed("a transfer coding other than chunked", Fault.NOT_IMPLEMENTED)
    return True


def parse_list(values: list[bytes]) -> frozenset[bytes]:
    """The lower-cased members of a comma-separated field (RFC 9110, section 5.6.1)."""
    members = (part.strip(b" \t").lower() for value in values for part in value.split(b","))
    return frozenset(member for member in members if member)


def check_connection(named: frozenset[bytes]) -> None:
    """A Connection field that names what frames or routes the message would smuggle (7.6.1)."""
    if named & _NEVER_NAMED:
        raise Malformed("Connection names a field that frames or routes the message")


_NEVER_NAMED = frozenset((b"host", b"content-length", b"transfer-encoding"))
