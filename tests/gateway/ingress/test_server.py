"""Listeners, limits on connections, and the drain."""

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.ingress.naming import EdgeNaming
from gateway.ingress.relay import Relay
from gateway.ingress.server import Listen
from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    actor,
    echo,
    error_of,
    read_answer,
    read_head,
    running,
)

GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


async def test_it_listens_on_unix_sockets_and_on_shared_ports(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    async with actor(echo) as port:
        relays = [Relay(naming=EdgeNaming(), usher=FakeUsher(port=port)) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            for relay in relays:
                group.create_task(relay.run())
            first, unix = await relays[0].start([Listen(reuse_port=True), Listen(path=str(path))])
            shared = int(first.rpartition(":")[2])
            (second,) = await relays[1].start([Listen(port=shared, reuse_port=True)])
            assert first == second and unix == f"unix:{path}"
            with pytest.raises(OSError, match="in use"):
                await relays[1].start([Listen(path=str(path))])
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(GET)
            _, _, body = await read_answer(reader)
            assert b"X-Forwarded-For: unknown\r\n" in body
            writer.close()
            for relay in relays:
                assert await relay.drain(SCALE)
        assert not path.exists()


async def test_a_connection_too_many_is_told_so() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher, settings=RelaySettings(connections=1)) as relay:
        _, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        answer = await relay.talk(b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert error_of(answer)["reason"] == "no-capacity"
        writer.close()


async def test_a_slow_loris_shuts_nobody_out() -> None:
    """Connections without a whole request give way, oldest first; those with one stay."""
    usher = FakeUsher(asleep=True)
    async with (
        actor(echo) as port,
        running(usher, settings=RelaySettings(connections=20)) as relay,
    ):
        usher.port = port
        reader, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        loris = [await relay.connect() for _ in range(60)]
        for _, slow in loris:
            slow.write(b"GET / HTTP/1.1\r\nX-Slow")
        usher.awake.set()
        assert (await relay.talk(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))[
            9:12
        ] == b"200"
        assert (await read_answer(reader))[0] == 200
        for _, slow in [*loris, (reader, writer)]:
            slow.close()
        assert relay.relay.meters.connections <= 20


async def test_a10_a_drain_lets_requests_end_closes_idle_ones_and_takes_no_new() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        began.set()
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with actor(slow) as port, running(FakeUsher(port=port)) as relay:
        idle_reader, idle_writer = await relay.connect()
        reader, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(began.wait(), SCALE)
        async with asyncio.TaskGroup() as group:
            drain = group.create_task(relay.relay.drain(SCALE))
            assert await asyncio.wait_for(idle_reader.read(), SCALE) == b""
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await relay.connect()
            go.set()
            _, head, body = await read_answer(reader)
            assert body == b"ok" and b"\r\nConnection: close\r\n" in head
            assert await drain
        for end in (writer, idle_writer):
            end.close()


async def test_a10_a_drain_serves_who_was_connected_when_it_began() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        with socket.create_connection(("127.0.0.1", relay.port)) as waiting:
            # The loop has had no turn since: only the kernel knows of this connection.
            waiting.setblocking(False)
            async with asyncio.TaskGroup() as group:
                drain = group.create_task(relay.relay.drain(SCALE))
                await asyncio.sleep(0)
                reader, writer = await asyncio.open_connection(sock=waiting)
                writer.write(GET)
                status, head, _ = await read_answer(reader)
                assert status == 200 and b"\r\nConnection: close\r\n" in head
                assert await drain
            writer.close()


async def test_a_drain_that_runs_out_of_grace_cuts_what_is_left() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.read()

    async with actor(endless) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        await read_head(reader)
        assert await relay.relay.drain(0.01) is False
        assert relay.usher.all_closed_once()
        writer.close()


async def test_a74_who_still_waits_when_the_grace_is_over_is_told_so() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        assert await relay.relay.drain(0.01) is False
        status, _, body = await read_answer(reader)
        assert status == 503 and b'"shutting-down"' in body
        writer.close()


async def test_cancelling_run_leaves_nothing_open() -> None:
    usher = FakeUsher(asleep=True)
    relay = Relay(naming=EdgeNaming(), usher=usher)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(relay.run())
        (address,) = await relay.start([Listen()])
        reader, writer = await asyncio.open_connection("127.0.0.1", address.rpartition(":")[2])
        writer.write(GET)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        run.cancel()
        await asyncio.wait([run])
        assert (relay.meters.inflight, relay.parking.count) == (0, 0)
        assert usher.gave_up.is_set()
        writer.close()
        reader.feed_eof()
