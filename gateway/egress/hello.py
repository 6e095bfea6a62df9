"""The name in a TLS ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), for tunnels that stay shut. No I/O.

Enough of the record layer to find it, strictly: what cannot be read is refused, since the server
might read a name there that we did not.
"""

from dataclasses import dataclass

LONGEST = 16 * 1024 + 5
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME = 22, 1, 0


class NoHello(ValueError):
    """These bytes don't begin a TLS connection; the message is fit for a log."""


@dataclass(frozen=True, slots=True)
class Hello:
    name: str | None
    """None: the client sent none."""


def read_hello(data: bytes) -> Hello | None:
    """None while it is not all there. Raises NoHello."""
    if data and data[0] != _HANDSHAKE:
        raise NoHello("not TLS")
    if len(data) < 9:
        return None
    # The hello may be split over records; their payloads joined are the handshake message.
    message, at = b"", 0
    while True:
        if len(data) < at + 5:
            return None
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            raise NoHello("not a handshake record")
        size = int.from_bytes(data[at + 3 : at + 5])
        if not 0 < size <= 16 * 1024:
            raise NoHello("a record of no sensible size")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
        if message and message[0] != _CLIENT_HELLO:
            raise NoHello("no ClientHello")
        if len(message) >= 4:
            length = int.from_bytes(message[1:4])
            if length > LONGEST:
                raise NoHello("a ClientHello of no sensible size")
            if len(message) >= 4 + length:
                return Hello(_name(_Reader(message[4 : 4 + length])))
        if len(data) < at:
            return None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise NoHello("a ClientHello that ends early")
        self._at += count
        return self._data[self._at - count : self._at]

    def vector(self, size_bytes: int) -> "_Reader":
        return _Reader(self.take(int.from_bytes(self.take(size_bytes))))

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def rest(self) -> bytes:
        return self._data[self._at :]


def _name(hello: _Reader) -> str | None:
    hello.take(2 + 32)
    hello.vector(1)
    hello.vector(2)
    hello.vector(1)
    if hello.is_empty:
        return None
    extensions = hello.vector(2)
    found: str | None = None
    while not extensions.is_empty:
        kind = int.from_bytes(extensions.take(2))
        body = extensions.vector(2)
        if kind != _SERVER_NAME:
            continue
        if found is not None:
            raise NoHello("two server names")
        names = body.vector(2)
        if names.take(1) != b"\0":
            raise NoHello("a server name of another kind")
        text = names.vector(2).rest()
        if not names.is_empty:
            raise NoHello("two server names")
        found = text.decode("ascii", "replace")
    return found
