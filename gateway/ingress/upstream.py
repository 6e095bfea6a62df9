"""Upstream connections: opened to a ticket's target, used by one exchange at a time, kept for the
next one with an equal pool key. What did not end cleanly is closed, never kept.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from gateway.ingress.seams import Target, Ticket
from gateway.ingress.settings import RelaySettings

if TYPE_CHECKING:
    import socket

    from gateway.ingress.codec.response import AnswerHead
    from gateway.ingress.conversation import Conversation

_LAST_READS: Final = 128
"""Of 64 KiB: more than a socket's receive buffer holds."""


class Upstream:
    """One connection, an asyncio.Protocol by its methods (a compiled class can't derive from that;
    neither loop asks for it). Without a user it is idle, and any byte that comes then closes it."""

    __slots__ = (
        "_high_water",
        "_home",
        "_paused",
        "idle_since",
        "key",
        "last_answer",
        "last_edited",
        "last_stem",
        "sock",
        "transport",
        "user",
        "was_used",
    )

    def __init__(self, home: "Upstreams", key: object, high_water: int) -> None:
        self._home = home
        self._high_water = high_water
        self._paused = False
        self.key = key
        self.transport: asyncio.Transport | None = None
        self.sock: socket.socket | None = None
        self.user: Conversation | None = None
        self.idle_since = 0.0
        self.was_used = False
        """It has answered before, so its server may be about to close it."""
        self.last_answer: AnswerHead | None = None
        """Servers repeat their heads; an equal one is not looked at again."""
        self.last_stem = b""
        """That head up to the id in its last line, where it is that of another relay of ours."""
        self.last_edited = b""
        """That head as clients get it, without what differs per request."""

    def __repr__(self) -> str:
        use = "in use" if self.user is not None else "idle"
        return f"<Upstream {self.key!r} {use}{', used before' if self.was_used else ''}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports do not derive from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._high_water)

    def data_received(self, data: bytes) -> None:
        if self.user is not None:
            self.user.on_answer(data)
        else:
            # Nobody asked: it would be read as the next request's answer (R27).
            self.close()

    def eof_received(self) -> bool:
        return self.user.on_answer_end() if self.user is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if exc is not None:
            self._read_what_is_left()
        user, self.user = self.user, None
        if user is not None:
            user.on_upstream_lost(exc)
        self._home.forget(self)

    def _read_what_is_left(self) -> None:
        """A server may answer and close before it has read the whole request. Our next write then
        fails, and the loop gives the connection up, while the answer lies in the socket unread."""
        # Both loops leave the descriptor with this object until after connection_lost, and take it
        # out (fileno is -1) when they close it: it can't be somebody else's by now.
        with suppress(OSError):
            for _ in range(_LAST_READS):
                if self.user is None or self.sock is None or self.sock.fileno() < 0:
                    return
                data = self.sock.recv(65_536)
                if not data:
                    return
                self.user.on_answer(data)

    def pause_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_full(True)

    def resume_writing(self) -> None:
        if self.user is not None:
            self.user.on_upstream_full(False)

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def write_eof(self) -> None:
        if self.is_open and self.transport is not None:
            self.transport.write_eof()

    def pause(self) -> None:
        if self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        """End it now; nothing of it reaches its user any more."""
        self.user = None
        if self.transport is not None:
            self.transport.abort()

    def close_after_writes(self) -> None:
        """End it once what was written is out; nothing of it reaches its user any more."""
        self.user = None
        if self.transport is not None:
            self.transport.close()


class Upstreams:
    """The connections that are open, and those of them that wait for their next use."""

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._idle: dict[object, list[Upstream]] = {}
        self._open: set[Upstream] = set()
        self.idle_count = 0

    def __repr__(self) -> str:
        return f"<Upstreams {len(self._open)} open, {self.idle_count} idle>"

    def take(self, key: object, used_since: float) -> Upstream | None:
        """The idle connection used last, if that is not too long ago."""
        idle = self._idle.get(key)
        while idle:
            connection = idle[-1]
            if connection.idle_since < used_since:
                return None  # those below it are older still; the sweep ends them
            idle.pop()
            self.idle_count -= 1
            if connection.is_open:
                return connection
        return None

    async def open(self, ticket: Ticket) -> Upstream:
        """Raises OSError (TimeoutError included) when there is nobody to connect to."""
        async with asyncio.timeout(self._settings.connect_s or None):
            connection = await self._connect(ticket.target, ticket.pool_key)
        if not connection.is_open:
            raise ConnectionResetError("closed as soon as it was open")
        self._open.add(connection)
        return connection

    async def _connect(self, target: Target, key: object) -> Upstream:
        loop = asyncio.get_running_loop()
        connection = Upstream(self, key, self._settings.buffer_bytes)
        connection.sock = sock = target.open_socket()
        try:
            await loop.sock_connect(sock, target.sockaddr)
            protocol = cast("asyncio.Protocol", connection)  # it is one by its methods
            if isinstance(target.sockaddr, str):
                await loop.create_unix_connection(lambda: protocol, sock=sock)
            else:
                await loop.create_connection(lambda: protocol, sock=sock)
        except BaseException:
            connection.close()
            sock.close()
            raise
        return connection

    def give_back(self, connection: Upstream, now: float) -> None:
        """Keep it for the next exchange; only after one that ended cleanly on both sides."""
        connection.user = None
        connection.resume()
        idle = self._idle.setdefault(connection.key, [])
        full = len(idle) >= self._settings.idle_per_key
        if full or self.idle_count >= self._settings.idle_total or connection.transport is None:
            connection.close()
            return
        connection.was_used = True
        connection.idle_since = now
        idle.append(connection)
        self.idle_count += 1

    def drop(self, key: object) -> None:
        """Close the idle connections to `key`: before a freeze, or the server behind them would
        find them all timed out at the thaw, under the next request."""
        for connection in self._idle.pop(key, ()):
            self.idle_count -= 1
            connection.close()

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        oldest = now - self._settings.upstream_idle_s
        for key, idle in list(self._idle.items()):
            kept: list[Upstream] = []
            over: list[Upstream] = []
            for connection in idle:
                is_kept = connection.is_open and connection.idle_since >= oldest
                (kept if is_kept else over).append(connection)
            for connection in over:
                self.idle_count -= 1
                connection.close()
            if kept:
                self._idle[key] = kept
            else:
                del self._idle[key]

    def forget(self, connection: Upstream) -> None:
        """It is gone: called once by each connection, whoever closed it."""
        self._open.discard(connection)
        idle = self._idle.get(connection.key)
        if idle is not None and connection in idle:
            idle.remove(connection)
            self.idle_count -= 1

    def close(self) -> None:
        for connection in list(self._open):
            connection.close()
