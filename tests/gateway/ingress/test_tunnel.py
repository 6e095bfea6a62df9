"""Tunnels after 101: bytes both ways, half-close, and their end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    Running,
    actor,
    read_head,
    running,
)

UPGRADE = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, Upgrade\r\nUpgrade: %b\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switches to whatever was asked for, says hello, sends everything back, then says bye."""
    head = await reader.readuntil(b"\r\n\r\n")
    protocol = head.lower().partition(b"\r\nupgrade: ")[2].partition(b"\r\n")[0]
    writer.write(SWITCH % protocol + b"hello")
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.write(b"bye")
    await writer.drain()


async def test_a8_an_upgrade_to_a_sleeping_actor_echoes_after_the_wake() -> None:
    async with actor(echo) as port:
        usher = FakeUsher(port=port, asleep=True)
        async with running(usher) as relay:
            reader, writer = await relay.connect()
            writer.write(UPGRADE % b"websocket")
            await asyncio.wait_for(usher.waiting.wait(), SCALE)
            usher.awake.set()
            head = await read_head(reader)
            assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nUpgrade: websocket\r\n" in head
            assert b"\r\nConnection: upgrade\r\n" in head
            writer.write(b"x" * 300_000)
            async with asyncio.timeout(SCALE):
                assert await reader.readexactly(300_005) == b"hello" + b"x" * 300_000
            assert usher.tickets[0].closed == 0
            writer.close()
            await asyncio.wait_for(usher.closed.wait(), SCALE)


async def test_half_close_is_kept_where_the_protocol_may_have_it() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(UPGRADE % b"chat" + b"early")
        await read_head(reader)
        writer.write_eof()
        async with asyncio.timeout(SCALE):
            assert await reader.read() == b"helloearlybye"
        writer.close()


async def test_a_cut_ticket_ends_its_tunnel() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(UPGRADE % b"chat")
        await read_head(reader)
        async with asyncio.timeout(SCALE):
            assert await reader.readexactly(5) == b"hello"
            relay.usher.tickets[0].cut()
            assert await reader.read() == b""
        assert relay.usher.tickets[0].closed == 1
        writer.close()


class Peer:
    """A WebSocket server that sends everything back and remembers how it was closed."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[tuple[int | None, str | None]]
        self.closed = asyncio.get_running_loop().create_future()

    async def __call__(self, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in socket:
                await socket.send(message)
        self.closed.set_result((socket.close_code, socket.close_reason))


@asynccontextmanager
async def talking(
    settings: RelaySettings | None = None,
) -> AsyncIterator[tuple[ClientConnection, Peer, Running]]:
    """A client, its actor and the relay between them, after a first message and its echo."""
    peer = Peer()
    async with serve(peer, "127.0.0.1", 0, ping_interval=None) as server:
        (listener,) = server.sockets
        usher = FakeUsher(port=listener.getsockname()[1])
        async with running(usher, settings=settings) as relay:
            url = f"ws://127.0.0.1:{relay.port}/actors/demo/a1/"
            async with connect(url, ping_interval=None, proxy=None) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
                yield client, peer, relay


async def closed(client: ClientConnection) -> tuple[int | None, str | None]:
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(SCALE):
            await client.recv()
    return client.close_code, client.close_reason


async def test_a19_a_cut_websocket_is_closed_by_frames_on_both_sides() -> None:
    async with talking() as (client, peer, relay):
        relay.usher.tickets[0].cut()
        assert await closed(client) == (1001, "the actor is being stopped")
        assert await asyncio.wait_for(peer.closed, SCALE) == (1001, "closed")


async def test_a19_a_drain_tells_websockets_to_come_back() -> None:
    async with talking() as (client, peer, relay):
        async with asyncio.TaskGroup() as group:
            group.create_task(relay.relay.drain(0.0))
            assert await closed(client) == (1012, "this gateway is going away")
            assert (await asyncio.wait_for(peer.closed, SCALE))[0] == 1001


async def test_a19_no_close_frame_is_put_into_a_frame() -> None:
    async def half_a_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH % b"websocket" + b"\x82\x05hel")
        await reader.read()

    async with actor(half_a_frame) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(UPGRADE % b"websocket")
        await read_head(reader)
        async with asyncio.timeout(SCALE):
            assert await reader.readexactly(5) == b"\x82\x05hel"
            relay.usher.tickets[0].cut()
            assert await reader.read() == b""
        writer.close()


async def test_a31_a64_pings_are_no_activity_and_data_is() -> None:
    async with talking() as (client, _, relay):
        (ticket,) = relay.usher.tickets
        before = ticket.touched
        await asyncio.wait_for(await client.ping(), SCALE)
        assert ticket.touched == before
        await client.send(b"data")
        assert await client.recv() == b"data"
        assert ticket.touched > before


async def test_a53_a_websocket_that_only_pings_is_closed_in_its_time() -> None:
    async with talking(RelaySettings(websocket_quiet_s=0.5)) as (client, peer, relay):

        async def keep_alive() -> None:
            while not peer.closed.done():
                try:
                    await (await client.ping())
                except ConnectionClosed:
                    return
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            group.create_task(keep_alive())
            assert (await closed(client))[0] == 1001
            assert (await asyncio.wait_for(peer.closed, SCALE))[0] == 1001
        await asyncio.wait_for(relay.usher.closed.wait(), SCALE)


async def test_a21_an_idle_budget_is_not_hit_while_bytes_flow() -> None:
    """Bytes of any kind: pings keep a connection, though not its actor awake."""
    async with talking(RelaySettings(stream_idle_s=1.0)) as (client, peer, _):
        for _ in range(20):
            await asyncio.wait_for(await client.ping(), SCALE)
            await asyncio.sleep(0.1)
        assert not peer.closed.done()
        assert (await closed(client))[0] == 1001


async def test_a20_the_time_to_the_upgrade_has_its_budget() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    settings = RelaySettings(first_byte_s=0.05)
    async with actor(silent) as port, running(FakeUsher(port=port), settings=settings) as relay:
        reader, writer = await relay.connect()
        writer.write(UPGRADE % b"websocket")
        assert (await read_head(reader)).startswith(b"HTTP/1.1 504 ")
        writer.close()


async def test_a20_a_websocket_as_a_whole_may_have_a_budget_and_has_none_by_default() -> None:
    assert RelaySettings().request_s == 0.0
    async with talking(RelaySettings(request_s=0.5)) as (client, peer, _):
        assert (await closed(client))[0] == 1001
        assert (await asyncio.wait_for(peer.closed, SCALE))[0] == 1001


async def test_a_close_of_its_own_passes_as_it_is() -> None:
    async with talking() as (client, peer, _):
        await client.close(4000, "mine")
        assert await asyncio.wait_for(peer.closed, SCALE) == (4000, "mine")
        assert client.close_code == 4000
