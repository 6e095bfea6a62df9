"""Programs that know of no proxy: by SNI and by Host, never by the address that they called."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.egress import identity
from gateway.egress.direct import HTTP, HTTPS
from tests.gateway.egress.world import Talk, World, intercept, ok, origin, running

PLAIN = """
- mode: internal
  listeners:
  - routes:
    - hostnames: [web.test]
      backends: [{{host: "127.0.0.1:{port}"}}]
"""


@contextlib.asynccontextmanager
async def _called(world: World, port: int) -> AsyncIterator[tuple[str, int]]:
    """A socket that stands for this port in the actor's own network."""
    sock = socket.create_server(("127.0.0.1", 0))
    await world.proxy.listen(sock, world.caller, direct=port)
    yield sock.getsockname()


async def _talk(world: World, address: tuple[str, int]) -> Talk:
    talk = Talk(*await asyncio.open_connection(*address))
    world.talks.append(talk)
    return talk


async def test_tls_to_a_name_is_opened_as_if_a_connect_had_come_first(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, policies="backendAuth: {key: sekret}")
        async with running(tmp_path, text) as world, _called(world, HTTPS) as address:
            for _ in range(2):
                talk = await _talk(world, address)
                await talk.tls(world.client_tls(), "api.test")
                talk.say("GET /a HTTP/1.1\r\nHost: api.test\r\n\r\n")
                assert (await talk.whole())[0] == 200
                talk.close()
            assert out.header("authorization") == "Bearer sekret"
            assert [(line.actor, line.to, line.way) for line in world.lines] == [
                ("demo/c1", "api.test:443", "intercepted")
            ] * 2


@pytest.mark.parametrize("name", ["evil.test", None])
async def test_tls_to_what_no_route_names_ends_in_an_alert(
    tmp_path: Path, name: str | None
) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca)
        async with running(tmp_path, text) as world, _called(world, HTTPS) as address:
            talk = await _talk(world, address)
            context = world.client_tls()
            context.check_hostname = False
            with pytest.raises(ssl.SSLError, match=r"(?i)access.denied"):
                await talk.tls(context, name)
            assert world.lines[-1].decision == "deny" and not out.connections


async def test_what_is_no_tls_ends_there_too(tmp_path: Path) -> None:
    async with running(tmp_path, "binds: []") as world, _called(world, HTTPS) as address:
        for said in ("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n", "\x16\x03\x01\x40\x00" + "x" * 40):
            talk = await _talk(world, address)
            talk.say(said)
            assert (await talk.rest()).startswith(b"\x15\x03")
            talk.close()
        assert not world.proxy.parts.upstreams._open


async def test_sni_and_host_must_still_be_one(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, host="'*.test'")
        async with running(tmp_path, text) as world, _called(world, HTTPS) as address:
            talk = await _talk(world, address)
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
            assert (await talk.whole())[0] == 421 and not out.seen


async def test_what_is_passed_through_is_passed_with_its_own_certificate(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: TLS
    tcpRoutes: [{{hostnames: [api.test], backends: [{{host: "127.0.0.1:{out.port}"}}]}}]
"""
        async with running(tmp_path, text) as world, _called(world, HTTPS) as address:
            talk = await _talk(world, address)
            await talk.tls(ssl.create_default_context(cafile=str(out.ca)), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 200


async def test_plain_http_is_routed_by_its_host(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda head, _body: ok(head.split(b" ")[1]), tls=False) as out:
        text = f"binds:\n{PLAIN.format(port=out.port)}"
        async with running(tmp_path, text) as world, _called(world, HTTP) as address:
            talk = await _talk(world, address)
            for host, status in (
                ("web.test", 200), ("web.test:80", 200), ("web.test:81", 421), ("evil.test", 404),
                ("web.test", 200),
            ):  # fmt: skip
                talk.say(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")
                assert (await talk.whole())[0] == status
            talk.say("GET https://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n")
            assert (await talk.whole())[0] == 421
            talk.say("GET / HTTP/1.0\r\n\r\n")
            assert (await talk.whole())[0] == 400


async def test_these_connections_are_counted_and_end_with_the_actor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MOST_CONNECTIONS", 1)
    async with origin(tmp_path) as out:
        async with (
            running(tmp_path, intercept(out.port, out.ca)) as world,
            _called(world, HTTPS) as address,
        ):
            one, two = await _talk(world, address), await _talk(world, address)
            with pytest.raises(ssl.SSLError):
                await two.tls(world.client_tls(), "api.test")
            two.close()
            world.proxy.drop(world.caller.key)
            assert await one.rest() == b""
            with pytest.raises(OSError):
                await asyncio.open_connection(*address)
