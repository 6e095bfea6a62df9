"""Where our own servers listen: unix sockets with paths short enough, ports that may be taken."""

import errno
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from gateway.ingress.relay import Relay
from gateway.ingress.server import Listen
from lifecycle.trust import Address

T = TypeVar("T")

_LONGEST = 100
"""Bytes of a unix socket's path; sockaddr_un holds 108."""


def socket_address(directory: Path, name: str) -> Address:
    """A unix socket in `directory`, or in a private short one when that path would be too long."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / name
    if len(os.fsencode(path)) > _LONGEST:
        path = Path(tempfile.mkdtemp(prefix="rouse-")) / name
    path.unlink(missing_ok=True)
    return Address(path=str(path))


@contextmanager
def naming(address: Address) -> Iterator[None]:
    """An error of the system says what is wrong, and not with which address."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot listen at {address}: {why}") from error


async def listen_relay(
    relay: Relay,
    address: Address,
    *,
    shared: bool = False,
    tls: ssl.SSLContext | None = None,
    proxies: tuple[IPv4Network | IPv6Network, ...] = (),
) -> Address:
    """Listen for a relay that runs; returns where, with the port the kernel chose."""
    if address.is_unix:
        listen = Listen(path=address.path)
    else:
        listen = Listen(
            host=address.host, port=address.port, reuse_port=shared, tls=tls, proxies=proxies
        )
    with naming(address):
        [bound] = await relay.start([listen])
    return Address.parse(bound)


async def serve_app(runner: web.AppRunner, address: Address) -> Address:
    """Listen for an aiohttp app that is set up; returns where, with the port the kernel chose."""
    with naming(address):
        if address.is_unix:
            await web.UnixSite(runner, address.path).start()
            os.chmod(address.path, 0o600)
            return address
        await web.TCPSite(runner, address.host, address.port).start()
    # Of the addresses of all sites, the last one is the one just added.
    return Address(host=address.host, port=runner.addresses[-1][1])


async def listen_or_else(
    listen: Callable[[Address], Awaitable[T]], wanted: Address, *, may_move: bool
) -> T:
    """Listen at `wanted`, or at a port the kernel chooses where that one is taken and nobody
    chose it."""
    try:
        return await listen(wanted)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not may_move or wanted.is_unix:
            raise
        return await listen(Address(host=wanted.host, port=0))
