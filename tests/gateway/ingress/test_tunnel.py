"""Tunnels after 101: bytes both ways, half-close, and their end."""

import asyncio

from tests.gateway.ingress.support import HOST, SCALE, FakeUsher, actor, read_head, running

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
            assert usher.tickets[0].closed == 0 and usher.tickets[0].touched > 1
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
        writer.write(UPGRADE % b"websocket")
        await read_head(reader)
        relay.usher.tickets[0].cut()
        assert await asyncio.wait_for(reader.read(), SCALE) == b"hello"
        assert relay.usher.tickets[0].closed == 1
        writer.close()
