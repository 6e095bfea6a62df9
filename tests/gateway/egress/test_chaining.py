"""By way of another proxy: CONNECT for TLS, absolute URLs for what is plain, and its key."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gateway.egress.world import auth, behind, intercept, origin, running, send


@dataclass
class Proxy:
    """An HTTP proxy by hand: it connects to one place, whatever is asked for."""

    port: int
    heads: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def proxy(to: int, *, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> AsyncIterator[Proxy]:
    made = Proxy(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            made.heads.append(head)
            if not head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain")
                await writer.drain()
                writer.close()
                return
            writer.write(answer)
            if b" 200 " not in answer[:13]:
                writer.close()
                return
            inner, outer = await asyncio.open_connection("127.0.0.1", to)
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
        writer.close()

    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def _tunnel(port: int, key: str = "") -> str:
    policies = f", policies: {{backendAuth: {{key: {key}}}}}" if key else ""
    return f"backendTunnel: {{proxy: {{host: '127.0.0.1:{port}'}}{policies}}}"


async def test_tls_goes_through_a_connect_with_the_proxys_key(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, proxy(out.port) as other:
        rules = _tunnel(other.port, "'user:pass'") + ", backendAuth: {key: sekret}"
        async with running(tmp_path, intercept(out.port, out.ca, policies=rules)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            for _ in range(2):
                talk.say("GET /a HTTP/1.1\r\nHost: api.test\r\n\r\n")
                assert (await talk.whole())[::2] == (200, b"ok")
            talk.close()
            assert len(other.heads) == 1 and out.connections == 1  # the connection is kept
            head = other.heads[0].decode()
            assert head.startswith(f"CONNECT 127.0.0.1:{out.port} HTTP/1.1\r\n")
            pair = base64.b64encode(b"user:pass").decode()
            assert f"proxy-authorization: Basic {pair}\r\n" in head and "sekret" not in head
            assert out.header("authorization") == "Bearer sekret"
            assert out.header("proxy-authorization") is None


async def test_what_is_plain_is_asked_for_by_its_url(tmp_path: Path) -> None:
    async with proxy(1) as other:
        rules = _tunnel(other.port, "tok")
        async with running(tmp_path, behind(9, rules)) as world:
            status, _head, body = await send(world, "GET", "/a?b")
            assert (status, body) == (200, b"plain")
            head = other.heads[0].decode()
            assert head.startswith("GET http://127.0.0.1:9/a?b HTTP/1.1\r\nhost: 127.0.0.1:9\r\n")
            assert "proxy-authorization: Bearer tok\r\n" in head


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n", b"nonsense\r\n\r\n"]
)
async def test_a_proxy_that_refuses_is_told(tmp_path: Path, answer: bytes) -> None:
    async with origin(tmp_path) as out, proxy(out.port, answer=answer) as other:
        text = intercept(out.port, out.ca, policies=_tunnel(other.port))
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            status, _head, body = await talk.whole()
            assert status == 503 and b"the proxy answered" in body and not out.seen
            talk.close()


async def test_what_is_passed_through_unopened_may_take_it_too(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, proxy(out.port) as other:
        text = f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: TLS
    tcpRoutes:
    - hostnames: [api.test]
      backends: [{{dynamic: {{}}, policies: {{{_tunnel(other.port)}}}}}]
"""
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            assert talk.answer.startswith(b"HTTP/1.1 200 ")
            await talk.tls(ssl.create_default_context(cafile=str(out.ca)), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 200
            assert other.heads[0].startswith(b"CONNECT api.test:443 ")
            talk.close()


async def test_an_address_that_nobody_may_reach_is_refused_there_too(tmp_path: Path) -> None:
    async with proxy(1) as other:
        text = f"""
binds:
- port: 80
  listeners: []
- mode: internal
  listeners: [{{routes: [{{backends: [{{dynamic: {{}}, policies: {{{_tunnel(other.port)}}}}}]}}]}}]
"""
        async with running(tmp_path, text) as world:
            talk = await world.open()
            talk.say(
                f"GET http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\n{auth('t1')}\r\n"
            )
            assert (await talk.whole())[0] == 403 and not other.heads
            talk.close()
