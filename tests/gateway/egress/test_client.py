"""What an actor sends over one connection, in what order it is answered, and what is refused that
two could read differently."""

from pathlib import Path

import pytest

from gateway.egress.parts import Budgets
from tests.gateway.egress.world import intercept, ok, origin, running


async def test_a_suspended_actor_loses_its_connections(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        world.proxy.drop(world.caller.key)
        assert await talk.rest() == b""
        talk.close()


@pytest.mark.parametrize(
    "text",
    [
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.test\r\nX: a\nY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : api.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.test\r\n folded: x\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET /../secret HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET /%2e%2e/secret HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x00",
    ],
)  # fmt: skip
async def test_what_two_could_read_differently_is_refused(tmp_path: Path, text: str) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say(text)
        assert (await talk.head()).split(b" ")[1] in (b"400", b"421", b"501")
        assert not out.seen
        talk.close()


async def test_a_head_without_an_end_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, "binds: []") as world:
        talk = await world.open()
        talk.say("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 70_000)
        assert (await talk.head()).startswith(b"HTTP/1.1 431 ")
        talk.close()


async def test_a_slow_head_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, "binds: []", budgets=Budgets(head_s=0.3)) as world:
        talk = await world.open()
        talk.say("GET / HT")
        assert await talk.rest() == b""
        talk.close()


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    def echo(head: bytes, body: bytes) -> bytes:
        return ok(head.split(b" ")[1] + body)

    async with (
        origin(tmp_path, echo) as out,
        running(tmp_path, intercept(out.port, out.ca)) as world,
    ):
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say(
            "GET /1 HTTP/1.1\r\nHost: api.test\r\n\r\n"
            "POST /2 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\nab"
            "GET /3 HTTP/1.1\r\nHost: api.test\r\n\r\n"
        )
        assert [(await talk.whole())[2] for _ in range(3)] == [b"/1", b"/2ab", b"/3"]
        talk.close()


async def test_a_forged_caller_field_never_goes_on(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("GET / HTTP/1.1\r\nHost: api.test\r\nRouse-Caller: x\r\nRouse_Caller: y\r\n\r\n")
        await talk.whole()
        assert b"caller" not in out.seen[0].lower()
        talk.close()


async def test_a_refused_head_request_gets_no_body(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        for path in ("/../x", "/good"):
            talk.say(f"HEAD {path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert (await talk.head()).startswith(b"HTTP/1.1 400 ")
        assert (await talk.head()).startswith(b"HTTP/1.1 200 ")
