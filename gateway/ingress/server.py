"""Listeners, and the client connections that came of them: how many, how long, how they end."""

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import cast

from gateway.ingress.client import ClientConnection
from gateway.ingress.parts import Parts
from gateway.ingress.proxied import ProxiedListener
from gateway.ingress.secured import securing

TICK_S = 0.25
LAST_WORDS_S = 0.5
FIRST_WORDS_S = 0.5
"""A client that has just connected sends its first request within this: to close before would
fail a request that was on its way to an open listener."""
_ACCEPT_TURNS = 3
"""Turns of the loop in which it takes every connection that the kernel has made already."""
_BACKLOG = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen: `host` and `port` (0: the kernel chooses), or `path` of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = None
    reuse_port: bool = False
    """Several processes share the address; the kernel deals the connections out."""
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Load balancers that begin each connection with a PROXY header."""

    def open(self) -> socket.socket:
        """A bound socket. Raises OSError when the address is taken."""
        if self.path is not None:
            return _open_unix(self.path)
        family, kind, _, _, address = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            # Accepted sockets inherit it: a client that vanished must not hold a ticket for ever.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.bind(address)
        except BaseException:
            sock.close()
            raise
        return sock


def _open_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            # Left over by a process that was killed; another kind of file is not ours to remove.
            if stat.S_ISSOCK(os.stat(path).st_mode) and not _is_alive(path):
                os.unlink(path)
        sock.bind(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def address_of(sock: socket.socket) -> str:
    """`host:port`, `[host]:port` or `unix:/path`, as the rest of rouse writes addresses."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


class Connections:
    """All client connections of one relay. One sweep looks after every budget of theirs."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._all: dict[ClientConnection, float] = {}
        """And since when (loop time)."""
        self._gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Connections {len(self._all)}>"

    def make(self, peer: str | None = None) -> asyncio.Protocol:
        """`peer`: the client's address, where the socket's is only its proxy's."""
        # A cast: it is one by its methods (see ClientConnection).
        return cast("asyncio.Protocol", ClientConnection(self._parts, self, peer))

    def add(self, connection: ClientConnection) -> bool:
        """False when it is one too many: then it gets an answer and is closed."""
        if len(self._all) >= self._parts.settings.connections:
            self._make_room()
        self._all[connection] = self._parts.time()
        self._parts.meters.connections = len(self._all)
        return len(self._all) <= self._parts.settings.connections

    def _make_room(self) -> None:
        """The oldest without a request goes: an idle one may always be closed (RFC 9112, 9.5), and
        one that is slow with its head (slow loris) must not keep others out."""
        oldest = next((each for each in self._all if each.user is None), None)
        if oldest is not None:
            oldest.abort()
            self.remove(oldest)

    def remove(self, connection: ClientConnection) -> None:
        self._all.pop(connection, None)
        self._parts.meters.connections = len(self._all)
        if not self._all:
            self._gone.set()

    def sweep(self, now: float) -> None:
        due = [c for c in self._all if 0.0 < c.expires <= now]
        for connection in due:
            connection.on_expired()
        for connection in [c for c in self._all if c.has_left_unseen()]:
            connection.abort_for_client()

    async def drain(self, deadline: float) -> bool:
        """End the idle ones, wait for the others; True when all ended by themselves."""
        young = self._parts.time() - FIRST_WORDS_S
        new = [c for c, since in self._all.items() if since > young]
        self._end_idle([c for c, since in self._all.items() if since <= young])
        later = asyncio.get_running_loop().call_later(FIRST_WORDS_S, self._end_idle, new)
        self._gone.clear()
        try:
            async with asyncio.timeout_at(deadline):
                while self._all:
                    await self._gone.wait()
                    self._gone.clear()
        except TimeoutError:
            return False
        finally:
            later.cancel()
        return True

    def _end_idle(self, connections: list[ClientConnection]) -> None:
        for connection in connections:
            if connection in self._all:
                connection.on_drain()

    def cut(self) -> None:
        """End every exchange now: with an answer of ours where none has begun."""
        for connection in list(self._all):
            connection.cut()

    def abort(self) -> None:
        for connection in list(self._all):
            connection.abort()


class Listeners:
    """The open listeners; closing them leaves the connections alone."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._servers: list[asyncio.Server] = []
        self._proxied: list[ProxiedListener] = []
        self._paths: list[str] = []

    async def open(self, listens: list[Listen], make: Callable[..., asyncio.Protocol]) -> list[str]:
        loop = asyncio.get_running_loop()
        addresses = []
        for listen in listens:
            sock = listen.open()
            addresses.append(address_of(sock))
            made = securing(make, listen.tls) if listen.tls is not None else make
            if listen.path is not None:
                self._paths.append(listen.path)
                server = await loop.create_unix_server(made, sock=sock, backlog=_BACKLOG)
            elif listen.proxies:
                self._open_proxied(sock, listen, made)
                continue
            else:
                server = await loop.create_server(made, sock=sock, backlog=_BACKLOG)
            self._servers.append(server)
        return addresses

    def _open_proxied(
        self, sock: socket.socket, listen: Listen, make: Callable[..., asyncio.Protocol]
    ) -> None:
        listener = ProxiedListener(
            sock,
            make,
            self._parts.spawn,
            networks=listen.proxies,
            backlog=_BACKLOG,
        )
        listener.open()
        self._proxied.append(listener)

    async def close_empty(self) -> None:
        """Close them once those who are connected by the kernel's word are connected to us: it
        resets what waits in the backlog of a listener that closes."""
        for _ in range(_ACCEPT_TURNS):
            await asyncio.sleep(0)
        self.close()

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for listener in self._proxied:
            listener.close()
        for path in self._paths:
            with suppress(FileNotFoundError):
                os.unlink(path)
        self._servers.clear()
        self._paths.clear()

    def abort(self) -> None:
        """Also of the connections that are only beginning."""
        self.close()
        for listener in self._proxied:
            listener.abort()
