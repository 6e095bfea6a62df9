"""One socket, in the clear or under TLS; what its owner sees is plaintext either way."""

import asyncio
import ssl
from typing import cast

from gateway.tls import Tls

HIGH_WATER = 256 * 1024


class Wire(asyncio.Protocol):
    """Owners override the `on_` methods. After `close` or `abort` none of them is called but
    `on_lost`, once."""

    transport: asyncio.Transport | None = None
    tls: Tls | None = None
    _is_paused = False
    _is_done = False

    # For owners to override.

    def on_data(self, data: bytes) -> None:
        raise NotImplementedError

    def on_end(self) -> None:
        """The peer sends no more."""
        self.abort()

    def on_lost(self, error: Exception | None) -> None:
        pass

    def on_full(self, is_full: bool) -> None:
        """What was written waits in our buffers, so its source should pause; or goes on."""

    def on_ready(self) -> None:
        """The TLS handshake is done."""

    def on_tls_failed(self, error: ssl.SSLError) -> None:
        self.abort()

    # Of the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports do not derive from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self._is_done:
            return
        tls = self.tls
        if tls is None:
            self.on_data(data)
            return
        was_ready = tls.is_ready
        try:
            plain = tls.feed(data)
        except ssl.SSLError as error:
            self._flush()  # the alert
            self.on_tls_failed(error)
            return
        if tls.waiting:
            self._flush()
        if not was_ready and tls.is_ready:
            self.on_ready()
        if plain and not self._is_done:
            self.on_data(plain)
        if tls.is_closed and not self._is_done:
            self.on_end()

    def eof_received(self) -> bool:
        if not self._is_done:
            self.on_end()
        # True leaves our half open; who wants it closed has closed it by now.
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._is_done = True
        self.on_lost(exc)

    def pause_writing(self) -> None:
        if not self._is_done:
            self.on_full(True)

    def resume_writing(self) -> None:
        if not self._is_done:
            self.on_full(False)

    # For owners to call.

    @property
    def is_open(self) -> bool:
        return not self._is_done and self.transport is not None

    @property
    def is_lost(self) -> bool:
        """`on_lost` was called."""
        return self._is_done and self.transport is None

    def begin_tls(
        self, context: ssl.SSLContext, *, server: bool, hostname: str | None = None
    ) -> None:
        self.tls = Tls(context, server=server, hostname=hostname)
        if not server:
            self.tls.start()
            self._flush()

    def write(self, data: bytes) -> None:
        transport = self.transport
        if transport is None or self._is_done:
            return
        tls = self.tls
        if tls is None:
            transport.write(data)
            return
        try:
            tls.write(data)
        except ssl.SSLError as error:
            self.on_tls_failed(error)
            return
        transport.write(tls.take())

    def write_last(self, data: bytes) -> None:
        """And close: one segment for the end of an answer and of the connection."""
        transport, tls = self.transport, self.tls
        if tls is not None and transport is not None and not self._is_done:
            try:
                tls.write(data)
            except ssl.SSLError as error:
                self.on_tls_failed(error)
                return
            tls.close()
            transport.write(tls.take())
            self._is_done = True
            transport.close()
            return
        self.write(data)
        self.close()

    def pause(self) -> None:
        if not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    def write_end(self) -> None:
        """We send no more; the peer may. TLS cannot say that to everybody, so it is closed."""
        if self.tls is not None:
            self.close()
        elif self.transport is not None and not self._is_done:
            self.transport.write_eof()

    def finish_sending(self) -> None:
        """Our last word is said. What comes still is heard as it is, without its TLS: it is only
        to be thrown away, since a close over unread bytes would take our last word with it."""
        if self.transport is None or self._is_done:
            return
        if self.tls is not None:
            self.tls.close()
            self._flush()
            self.tls = None
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def close(self) -> None:
        """Once what was written is out."""
        if self.transport is not None and not self._is_done:
            if self.tls is not None and self.tls.is_ready and not self.tls.is_closed:
                self.tls.close()
                self._flush()
            self._is_done = True
            self.transport.close()

    def abort(self) -> None:
        self._is_done = True
        if self.transport is not None:
            self.transport.abort()

    def _flush(self) -> None:
        if self.tls is not None and self.transport is not None and self.tls.waiting:
            self.transport.write(self.tls.take())
