"""Connections to actors and doors: when one is kept, when not, and that none is left behind."""

import asyncio

import pytest

from gateway.ingress.settings import RelaySettings
from gateway.ingress.upstream import Upstream, Upstreams
from tests.gateway.ingress.support import (
    SCALE,
    FakeTicket,
    FakeUsher,
    actor,
    echo,
)


async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def ticket(port: int) -> FakeTicket:
    return FakeTicket(FakeUsher(), port, None)


async def gone(upstreams: Upstreams) -> None:
    async with asyncio.timeout(SCALE):
        while "0 open" not in repr(upstreams):
            await asyncio.sleep(0)


async def opened(upstreams: Upstreams, port: int, count: int) -> list[Upstream]:
    return [await upstreams.open(ticket(port)) for _ in range(count)]


async def test_the_connection_used_last_is_taken_first_and_an_old_one_not_at_all() -> None:
    async with actor(hold) as port:
        upstreams = Upstreams(RelaySettings())
        first, second = await opened(upstreams, port, 2)
        upstreams.give_back(first, now=10.0)
        upstreams.give_back(second, now=11.0)
        assert upstreams.take(port, used_since=12.0) is None
        assert upstreams.take("another", used_since=0.0) is None
        assert upstreams.take(port, used_since=0.0) is second and second.was_used
        assert upstreams.idle_count == 1
        upstreams.close()
        await gone(upstreams)


async def test_idle_connections_are_bounded_and_swept() -> None:
    async with actor(hold) as port:
        upstreams = Upstreams(RelaySettings(idle_per_key=2, upstream_idle_s=5.0))
        for number, connection in enumerate(await opened(upstreams, port, 3)):
            upstreams.give_back(connection, now=float(number))
        assert upstreams.idle_count == 2
        upstreams.sweep(now=5.5)
        assert upstreams.idle_count == 1
        upstreams.sweep(now=50.0)
        assert upstreams.idle_count == 0
        await gone(upstreams)


async def test_what_512_clients_need_at_once_is_kept_for_their_next_requests() -> None:
    async with actor(hold) as port:
        upstreams = Upstreams(RelaySettings())
        wave = await opened(upstreams, port, 512)
        for connection in wave:
            upstreams.give_back(connection, now=1.0)
        again = [upstreams.take(port, used_since=0.0) for _ in wave]
        assert set(again) == set(wave)
        for connection in wave:
            upstreams.give_back(connection, now=2.0)
        upstreams.sweep(now=100.0)
        assert upstreams.idle_count == 0
        await gone(upstreams)


async def test_drop_closes_what_is_idle_before_a_freeze_and_leaves_what_is_in_use() -> None:
    async with actor(hold) as port:
        upstreams = Upstreams(RelaySettings())
        idle, used = await opened(upstreams, port, 2)
        upstreams.give_back(idle, now=0.0)
        upstreams.drop(port)
        assert upstreams.idle_count == 0 and not idle.is_open and used.is_open
        upstreams.close()
        await gone(upstreams)


async def test_r27_bytes_that_nobody_asked_for_close_an_idle_connection() -> None:
    asked = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    async with actor(talkative) as port:
        upstreams = Upstreams(RelaySettings())
        (connection,) = await opened(upstreams, port, 1)
        upstreams.give_back(connection, now=0.0)
        asked.set()
        await gone(upstreams)
        assert upstreams.take(port, used_since=0.0) is None and upstreams.idle_count == 0


async def test_a_connect_that_is_cancelled_leaves_no_socket() -> None:
    # A listener with a full backlog: the connect hangs until it is given up.
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        upstreams = Upstreams(RelaySettings(connect_s=0.05))
        with pytest.raises(TimeoutError):
            await opened(upstreams, port, 8)
        upstreams.close()
        await gone(upstreams)


async def test_a_refused_connect_is_an_os_error() -> None:
    async with actor(echo) as port:
        pass
    with pytest.raises(OSError, match=r"refused|failed"):
        await Upstreams(RelaySettings()).open(ticket(port))
