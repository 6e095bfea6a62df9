"""TLS between a socket and a client's connection, by the relay's own hand (see gateway/tls.py).

As fast as uvloop's own TLS transport, at 20 KB for a connection that idles where that takes 48; and
that one knows no half-close and bounds no number of handshakes.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from gateway.tls import Tls

HANDSHAKE_S: Final = 10.0
"""From the connection to the last byte of the handshake."""
MOST_BEGINNING: Final = 1024
"""Connections in their handshake; the oldest goes when there are more."""
_WRITE_AT: Final = 64 * 1024
"""Ciphertext that waits for the end of an event at most, in bytes."""

Make = Callable[..., asyncio.Protocol]


class Secured:
    """A protocol towards the socket's transport, and the transport of the protocol within. Both by
    its methods, like ClientConnection.

    The inner one is told of the connection when the handshake is over. Each side ends its own
    direction by close_notify (RFC 8446, section 6.1): ours is `write_eof`, the peer's is told as
    `eof_received`. An end of the socket without one is that and the loss of the connection.
    """

    __slots__ = (
        "_beginnings",
        "_context",
        "_has_ended",
        "_inner",
        "_is_open",
        "_is_over",
        "_is_told",
        "_is_turn",
        "_socket",
        "_tls",
    )

    def __init__(
        self, inner: asyncio.Protocol, context: ssl.SSLContext, beginnings: "Beginnings"
    ) -> None:
        self._inner = inner
        self._beginnings = beginnings
        self._tls = Tls(context, server=True)
        self._socket: asyncio.Transport | None = None
        self._is_open = False
        """The handshake is over, and the inner protocol has us."""
        self._is_told = False
        """It knows that nothing more comes."""
        self._has_ended = False
        """We have said that we send no more."""
        self._is_over = False
        """Closed from here: what still comes is dropped."""
        self._is_turn = False
        """The inner protocol has its turn; what it writes goes out behind it, in one piece."""
        self._context = context

    def __repr__(self) -> str:
        state = "ended" if self._has_ended else "open" if self._is_open else "beginning"
        return f"<Secured {state} {self._inner!r}>"

    # --- the socket's calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        self._beginnings.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        try:
            plain = self._tls.feed(data)
        except ssl.SSLError:
            self._fail()
            return
        self._is_turn = True
        try:
            if not self._is_open and self._tls.is_ready:
                self._open()
            if plain:
                self._inner.data_received(plain)
        finally:
            self._is_turn = False
        self._send()
        if self._tls.is_closed:
            self._on_peer_end()

    def eof_received(self) -> bool:
        if self._is_open and not self._is_told and not self._is_over:
            self._is_told = True
            self._inner.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        self._beginnings.remove(self)
        if self._is_open:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._is_open:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._is_open:
            self._inner.resume_writing()

    # --- the inner protocol's calls ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if self._has_ended or self._socket is None:
            return
        self._tls.write(data)
        if not self._is_turn or self._tls.waiting >= _WRITE_AT:
            self._send()

    def write_eof(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._tls.close()
            self._send()

    def close(self) -> None:
        """What was written goes out first, and close_notify behind it."""
        self.write_eof()
        self._is_over = True
        if self._socket is not None:
            self._socket.close()

    def abort(self) -> None:
        self._has_ended = self._is_over = True
        if self._socket is not None:
            self._socket.abort()

    def is_closing(self) -> bool:
        return self._socket is None or self._socket.is_closing()

    def pause_reading(self) -> None:
        if self._socket is not None:
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        if self._socket is not None:
            self._socket.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        if self._socket is not None:
            self._socket.set_write_buffer_limits(high=high)

    def get_extra_info(self, name: str) -> Any:  # Any: as asyncio.BaseTransport says it
        if name == "sslcontext":
            return self._context
        return self._socket.get_extra_info(name) if self._socket is not None else None

    # --- both -------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._beginnings.remove(self)
        self._is_open = True
        self._inner.connection_made(cast("asyncio.Transport", self))

    def _send(self) -> None:
        if self._tls.waiting and self._socket is not None:
            self._socket.write(self._tls.take())

    def _fail(self) -> None:
        """Not TLS, a forged record, no certificate where one is asked for: the alert says it."""
        self._has_ended = self._is_over = True
        self._send()
        if self._socket is not None:
            self._socket.close()

    def _on_peer_end(self) -> None:
        if not self._is_open:
            self.close()
        elif not self._is_told:
            self._is_told = True
            if not self._inner.eof_received():
                self.close()


class Beginnings:
    """The connections of one listener that are in their handshake: for a time, and not too many."""

    def __init__(self, handshake_s: float, most: int) -> None:
        self._handshake_s = handshake_s
        self._most = most
        self._all: dict[Secured, asyncio.TimerHandle] = {}

    def __repr__(self) -> str:
        return f"<Beginnings {len(self._all)}>"

    def add(self, connection: Secured) -> None:
        loop = asyncio.get_running_loop()
        self._all[connection] = loop.call_later(self._handshake_s, connection.abort)
        if len(self._all) > self._most:
            oldest = next(iter(self._all))
            self.remove(oldest)
            oldest.abort()

    def remove(self, connection: Secured) -> None:
        timer = self._all.pop(connection, None)
        if timer is not None:
            timer.cancel()


def securing(
    make: Make,
    context: ssl.SSLContext,
    *,
    handshake_s: float = HANDSHAKE_S,
    most_beginning: int = MOST_BEGINNING,
) -> Make:
    """`make` for the connections of one listener, behind TLS."""
    beginnings = Beginnings(handshake_s, most_beginning)

    def made(*args: str) -> asyncio.Protocol:
        # A cast: it is one by its methods.
        return cast("asyncio.Protocol", Secured(make(*args), context, beginnings))

    return made
