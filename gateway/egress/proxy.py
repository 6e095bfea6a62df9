"""The egress proxy of a worker: listeners, connections, and what runs beside them."""

import asyncio
import logging
import socket

from gateway.egress.client import ClientConnection
from gateway.egress.direct import DirectConnection
from gateway.egress.nameserver import NameServer
from gateway.egress.parts import Parts
from gateway.egress.seams import Caller
from gateway.egress.upstream import IDLE_S

log = logging.getLogger(__name__)

TICK_S = 0.25
_BACKLOG = 1024
_FLUSH_TICKS = 2


class Proxy:
    """`run` is the parent of everything that waits, so it is started first. Cancelling it ends
    every connection."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._servers: dict[str, list[asyncio.Server | asyncio.DatagramTransport]] = {}
        self.running = asyncio.Event()

    def __repr__(self) -> str:
        parts = self.parts
        return f"<Proxy {len(parts.connections)} connections, {parts.upstreams!r}>"

    async def run(self) -> None:
        parts = self.parts
        parts.loop = asyncio.get_running_loop()
        parts.now = parts.loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                parts.group = group
                group.create_task(parts.policies.run(), name="egress policies")
                group.create_task(parts.secrets.run(), name="egress secrets")
                self.running.set()
                try:
                    await self._tick()
                finally:
                    # Before the group ends: what is begun after that would have no parent.
                    self._close_all()
        finally:
            parts.upstreams.close()
            await parts.opinions.close()
            self._flush()

    async def _tick(self) -> None:
        parts, count = self.parts, 0
        while True:
            parts.now = now = parts.loop.time()
            for each in [each for each in parts.connections if 0.0 < each.expires <= now]:
                each.on_expired()
            parts.upstreams.sweep(now - IDLE_S)
            count += 1
            if count % _FLUSH_TICKS == 0:
                self._flush()
            await asyncio.sleep(TICK_S)

    def _flush(self) -> None:
        try:
            self.parts.audit.flush()
        except OSError as error:
            log.error("egress log can't be written", extra={"why": error.strerror})

    async def listen(
        self, sock: socket.socket, own: Caller | None = None, *, direct: int = 0
    ) -> None:
        """Serve what comes by this socket: all actors by their tokens, or the one whose it is.
        `direct`: the port of programs that take it for the server itself."""
        await self.running.wait()
        loop = asyncio.get_running_loop()

        def make() -> ClientConnection:
            if own is not None and direct:
                return DirectConnection(self.parts, own, direct)
            return ClientConnection(self.parts, own)

        if sock.family == socket.AF_UNIX:
            server: asyncio.Server = await loop.create_unix_server(
                make, sock=sock, backlog=_BACKLOG
            )
        else:
            server = await loop.create_server(make, sock=sock, backlog=_BACKLOG)
        self._servers.setdefault("" if own is None else own.key, []).append(server)

    async def answer_names(self, sock: socket.socket, own: Caller, address: str) -> None:
        """Every name is at `address`, for the one whose socket it is."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(address), sock=sock)
        self._servers.setdefault(own.key, []).append(transport)

    def drop(self, key: str) -> None:
        """A copy of an actor is gone: nothing of it stays, in whatever state it was."""
        for server in self._servers.pop(key, []):
            server.close()
        self.cut(key)
        self.parts.plans.forget(key)

    def cut(self, key: str) -> None:
        """End its open calls and connections; it may come again."""
        for each in list(self.parts.connections):
            if each.caller is not None and each.caller.key == key:
                each.cut()
        self.parts.upstreams.close_of(key)

    def _close_all(self) -> None:
        for servers in self._servers.values():
            for server in servers:
                server.close()
        for each in list(self.parts.connections):
            each.abort()
