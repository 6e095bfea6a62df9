"""Requests on their way: bodies both ways, time, broken servers, kept connections, and P5."""

import asyncio
from pathlib import Path

import pytest

from gateway.egress.parts import Budgets
from tests.gateway.egress.world import Talk, World, intercept, ok, origin, running


async def _inside(world: World) -> Talk:
    talk = await world.connect("api.test:443")
    await talk.tls(world.client_tls(), "api.test")
    return talk


async def test_large_bodies_go_both_ways_unchanged(tmp_path: Path) -> None:
    body = bytes(range(256)) * 12_000
    async with origin(tmp_path, lambda _h, b: ok(b)) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say(f"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: {len(body)}\r\n\r\n")
            talk.say(body)
            assert (await talk.whole())[2] == body == out.bodies[0]
            talk.close()


async def test_a_chunked_body_stays_chunked(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await _inside(world)
        talk.say("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        talk.say("3\r\nabc\r\n0\r\n\r\n")
        assert (await talk.whole())[0] == 200
        assert out.bodies == [b"abc"] and out.header("transfer-encoding") == "chunked"
        talk.close()


async def test_expect_is_answered_here_and_goes_no_further(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await _inside(world)
        talk.say(
            "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert (await talk.head()).startswith(b"HTTP/1.1 100 ")
        talk.say("hi")
        assert (await talk.whole())[0] == 200 and out.header("expect") is None
        talk.close()


async def test_a_call_in_flight_holds_the_actor_awake_and_lets_go(tmp_path: Path) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_head: bytes, _body: bytes) -> bytes:
        asked.set()
        await go.wait()
        return ok()

    async with origin(tmp_path, slow) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            assert world.caller.calls == 0  # an open tunnel is no call
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            await asked.wait()
            assert world.caller.calls == 1
            go.set()
            await talk.whole()
            assert world.caller.calls == 0
            talk.close()


async def test_a_client_that_leaves_ends_its_call(tmp_path: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def never(_head: bytes, _body: bytes) -> bytes:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return b""

    async with origin(tmp_path, never) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            await asked.wait()
            talk.writer.transport.abort()
            async with asyncio.timeout(10):
                while world.caller.calls:
                    await asyncio.sleep(0.01)
            assert world.lines[-1].reason == "the actor left"


async def test_a_body_that_stops_on_its_way_ends_its_call(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca)
        async with running(tmp_path, text, budgets=Budgets(stream_idle_s=0.5)) as world:
            talk = await _inside(world)
            talk.say("POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\nslow")
            assert (await talk.head()).startswith(b"HTTP/1.1 504 ")
            assert world.caller.calls == 0 and not out.bodies


async def test_an_answer_without_an_end_that_breaks_off_is_broken(tmp_path: Path) -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"

    async def break_off(_head: bytes, _body: bytes) -> bytes:
        raise ConnectionResetError(half)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(half)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"""
binds:
- mode: internal
  listeners: [{{name: p, routes: [{{backends: [{{host: "127.0.0.1:{port}"}}]}}]}}]
"""
    async with server, running(tmp_path, text) as world:
        talk = await world.open()
        pair = "Proxy-Authorization: Bearer t1\r\n"
        talk.say(f"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n{pair}\r\n")
        assert b"content-length: 10" in await talk.head()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await talk.reader.readexactly(10)
        assert world.lines[-1].decision == "fail"
        talk.close()


async def test_a_connection_closed_while_kept_costs_no_request(tmp_path: Path) -> None:
    """The server closes after each answer without saying so: the next request meets a closed
    connection and goes again over a new one."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        await reader.readuntil(b"\r\n\r\n")
        count += 1
        writer.write(ok())
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n") if count == 1 else None
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    text = f"""
binds:
- mode: internal
  listeners: [{{name: p, routes: [{{backends: [{{host: "127.0.0.1:{port}"}}]}}]}}]
"""
    async with server, running(tmp_path, text) as world:
        talk = await world.open()
        for _ in range(2):
            talk.say("GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n"
                     "Proxy-Authorization: Bearer t1\r\n\r\n")  # fmt: skip
            assert (await talk.whole())[0] == 200
        assert count == 2
        talk.close()


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("requestTimeout: 300ms", b"request timeout\n"),
        ("backendRequestTimeout: 300ms", b"upstream call timeout\n"),
    ],
)
async def test_time_ends_at_the_head(tmp_path: Path, policy: str, words: bytes) -> None:
    async def never(_head: bytes, _body: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with origin(tmp_path, never) as out:
        text = intercept(out.port, out.ca, policies=f"timeout: {{{policy}}}")
        async with running(tmp_path, text) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            status, _head, body = await talk.whole()
            assert status == 504 and body.startswith(words)
            talk.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    ],
)
async def test_nonsense_is_502(tmp_path: Path, answer: bytes) -> None:
    async with origin(tmp_path, lambda _h, _b: answer) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 502
            talk.close()


async def test_an_upgrade_becomes_a_tunnel_whose_data_keeps_awake(tmp_path: Path) -> None:
    def upgrade(_head: bytes, _body: bytes) -> bytes:
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello"
        )

    async with origin(tmp_path, upgrade) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n"
                     "\r\n")  # fmt: skip
            assert b" 101 " in await talk.head()
            assert await talk.reader.readexactly(5) == b"hello"
            assert world.caller.touched and world.caller.calls == 0
            assert out.header("upgrade") == "echo"
            talk.close()


async def test_an_upgrade_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    async with origin(tmp_path, lambda _h, _b: answer) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 502
            talk.close()


async def test_an_http_1_0_client_gets_what_is_inside_the_chunks(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    answer += b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with origin(tmp_path, lambda _h, _b: answer) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await _inside(world)
            talk.say("GET / HTTP/1.0\r\nHost: api.test\r\n\r\n")
            head = await talk.head()
            assert b"transfer-encoding" not in head and b"connection: close" in head
            assert await talk.rest() == b"abcde"
