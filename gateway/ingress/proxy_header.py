"""The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt gives them. No I/O.

It says how many bytes may be read, so that nothing behind the header is taken from whoever comes
next (a TLS handshake, say), and it refuses what is not exactly a header.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_LONGEST_LINE = 107
_FIXED = 16
_LONGEST_REST = 4096
"""Addresses and TLVs of version 2; senders add some hundred bytes."""

_ADDRESS = rb"([0-9A-Fa-f:.]{2,39})"
_PORT = rb"(0|[1-9][0-9]{0,4})"
_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) " + _ADDRESS + rb" " + _ADDRESS + rb" " + _PORT + rb" " + _PORT
)
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_SIZES = {_UNSPEC: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}


class BadProxyHeader(ValueError):
    """What came is no PROXY header; who sent it is not whom the settings take it for."""


class Source(NamedTuple):
    """Where the client is, by the header."""

    host: str
    port: int


class ProxyHeader:
    """`feed` it at most `wants` bytes at a time until that is 0; then `source` is known."""

    def __init__(self) -> None:
        self._data = b""
        self.wants = len(_SIGNATURE)
        """The shortest header is longer than version 2's signature."""
        self.source: Source | None = None
        """None: the proxy speaks for itself (health checks), or does not say for whom."""

    def feed(self, data: bytes) -> None:
        """Raises BadProxyHeader as soon as it cannot become one."""
        if len(data) > self.wants:
            raise ValueError("more than was asked for")
        self._data += data
        if _SIGNATURE.startswith(self._data[: len(_SIGNATURE)]):
            self._on_binary()
        elif b"PROXY ".startswith(self._data[:6]):
            self._on_line()
        else:
            raise BadProxyHeader("the connection does not begin with a PROXY header")

    def _on_line(self) -> None:
        data = self._data
        if not data.endswith(b"\r\n"):
            if b"\n" in data or len(data) >= _LONGEST_LINE:
                raise BadProxyHeader("a PROXY line that does not end where it must")
            # Never past the end: at least CRLF is missing, or only its LF.
            self.wants = len(_SIGNATURE) - len(data)
            if self.wants <= 0:
                self.wants = 1 if data.endswith(b"\r") else 2
            return
        self.wants = 0
        line = data[:-2]
        match = _LINE.fullmatch(line)
        if match is not None:
            self.source = _from_text(match)
        elif _UNKNOWN.fullmatch(line) is None:
            raise BadProxyHeader("a PROXY line with other words than the protocol has")

    def _on_binary(self) -> None:
        data = self._data
        if len(data) < _FIXED:
            self.wants = _FIXED - len(data)
            return
        command, family = data[12], data[13]
        rest = int.from_bytes(data[14:16], "big")
        if command not in (_LOCAL, _PROXY) or family not in _SIZES:
            raise BadProxyHeader("a PROXY header of an unknown version, command or family")
        if rest > _LONGEST_REST or (command == _PROXY and rest < _SIZES[family]):
            raise BadProxyHeader("a PROXY header of a length that does not fit its family")
        self.wants = _FIXED + rest - len(data)
        if not self.wants and command == _PROXY:
            self.source = _from_bytes(family, data[_FIXED:])


def _from_text(match: re.Match[bytes]) -> Source:
    kind = IPv4Address if match[1] == b"TCP4" else IPv6Address
    try:
        source, _target = (kind(match[n].decode()) for n in (2, 3))
    except ValueError as error:
        raise BadProxyHeader("a PROXY line with an address that is none") from error
    if max(int(match[4]), int(match[5])) > 65535:
        raise BadProxyHeader("a PROXY line with a port that is none")
    return Source(str(source), int(match[4]))


def _from_bytes(family: int, rest: bytes) -> Source | None:
    if family == _TCP4:
        return Source(str(IPv4Address(rest[:4])), int.from_bytes(rest[8:10], "big"))
    if family == _TCP6:
        return Source(str(IPv6Address(rest[:16])), int.from_bytes(rest[32:34], "big"))
    return None
