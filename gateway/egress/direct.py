"""Direct: connections of programs that know of no proxy. In an actor's own network every name leads
to a socket of ours (nameserver), so whom they mean is read where clients say it: in the ClientHello
and in Host. The address that was called says nothing, and is not asked.
"""

from typing import TYPE_CHECKING

from gateway.egress import telling
from gateway.egress.client import ClientConnection
from gateway.egress.hello import LONGEST, NoHello, read_hello
from gateway.egress.hosts import BadHost, normalized
from gateway.egress.refusals import Refusal, Refused

if TYPE_CHECKING:
    from gateway.egress.parts import Parts
    from gateway.egress.seams import Caller

HTTP, HTTPS = 80, 443
_ACCESS_DENIED = b"\x15\x03\x03\x00\x02\x02\x31"
"""A TLS alert (RFC 8446, section 6): there is no other way to say no before a handshake."""


class DirectConnection(ClientConnection):
    """By port 80 HTTP as to the server itself; by port 443 TLS, as if a CONNECT to the name in it
    had come first."""

    def __init__(self, parts: "Parts", own: "Caller", port: int) -> None:
        super().__init__(parts, own)
        self.direct_port = port

    def read(self) -> None:
        if self.direct_port == HTTPS and self.opening is None:
            self._read_hello()
        else:
            super().read()

    def _read_hello(self) -> None:
        try:
            hello = read_hello(self.ahead)
            if hello is None:
                if len(self.ahead) > LONGEST:
                    raise NoHello("a ClientHello without an end")
                return
            if hello.name is None:
                raise NoHello("a ClientHello without a server name")
            host = normalized(hello.name)
        except (NoHello, BadHost) as error:
            self.refuse_connect(Refusal(Refused.INVALID, str(error)), "")
            return
        try:
            self.who.learn(b"")
            self.connect(host, HTTPS, b"")
        except Refusal as refusal:
            self.refuse_connect(refusal, f"{host}:{HTTPS}")

    def establish(self) -> None:
        """It did not ask: the handshake goes on."""

    def refuse_connect(self, refusal: Refusal, to: str) -> None:
        telling.refused(self.parts, self.caller, refusal, "CONNECT", to)
        self.take_buffer()
        self.write(_ACCESS_DENIED)
        self.linger()
