"""A listener behind load balancers: reads the PROXY header of those it trusts, then hands over.

The header stands before a TLS handshake, so it is read from the bare socket, byte for byte.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from ipaddress import IPv4Network, IPv6Network

from gateway.ingress.fields import is_trusted
from gateway.ingress.proxy_header import BadProxyHeader, ProxyHeader

log = logging.getLogger(__name__)

_HEADER_S = 5.0
_MOST_BEGINNING = 1024
"""Connections whose header is awaited; above that new ones are closed at once."""
_PAUSE_S = 0.5

Networks = tuple[IPv4Network | IPv6Network, ...]
Spawn = Callable[[Coroutine[None, None, None], str], asyncio.Task[None]]


class ProxiedListener:
    def __init__(
        self,
        sock: socket.socket,
        make: Callable[[str], asyncio.Protocol],
        spawn: Spawn,
        *,
        networks: Networks,
        backlog: int,
    ) -> None:
        self._sock = sock
        self._make = make
        self._spawn = spawn
        self._networks = networks
        self._backlog = backlog
        self._accepting: asyncio.Task[None] | None = None
        self._beginning: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<ProxiedListener, {len(self._beginning)} connections begin>"

    def open(self) -> None:
        self._sock.setblocking(False)
        self._sock.listen(self._backlog)
        self._accepting = self._spawn(self._accept(), "accept")

    def close(self) -> None:
        """No further ones; those that have begun go on."""
        if self._accepting is not None:
            self._accepting.cancel()

    def abort(self) -> None:
        self.close()
        for task in list(self._beginning):
            task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    accepted, address = await loop.sock_accept(self._sock)
                except OSError as error:
                    if error.errno != errno.ECONNABORTED:  # gone before we had it
                        log.error("no connection can be taken", extra={"why": error.strerror})
                        await asyncio.sleep(_PAUSE_S)
                    continue
                if len(self._beginning) >= _MOST_BEGINNING:
                    accepted.close()
                    continue
                task = self._spawn(self._begin(accepted, str(address[0])), "PROXY header")
                self._beginning.add(task)
                task.add_done_callback(self._beginning.discard)
        finally:
            self._sock.close()

    async def _begin(self, accepted: socket.socket, peer: str) -> None:
        try:
            if is_trusted(peer, self._networks):
                async with asyncio.timeout(_HEADER_S):
                    peer = await self._client_of(accepted) or peer
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._make(peer), accepted
            )
        except (BadProxyHeader, TimeoutError) as error:
            # Of a peer that the settings name, so somebody's settings are wrong: worth a line.
            log.warning("no PROXY header", extra={"peer": peer, "why": str(error) or "too slow"})
            accepted.close()
        except OSError:
            accepted.close()  # it left
        except asyncio.CancelledError:
            accepted.close()
            raise
        except Exception:
            log.exception("a connection could not be begun")
            accepted.close()

    async def _client_of(self, accepted: socket.socket) -> str | None:
        loop = asyncio.get_running_loop()
        header = ProxyHeader()
        while header.wants:
            data = await loop.sock_recv(accepted, header.wants)
            if not data:
                raise ConnectionResetError("it closed before its PROXY header was whole")
            header.feed(data)
        return header.source.host if header.source is not None else None
