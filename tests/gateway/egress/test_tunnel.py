"""Tunnels that stay shut: the inner TLS is the server's own, and SNI is held to CONNECT's host."""

import ssl
from pathlib import Path

import pytest

from tests.gateway.egress.world import origin, running

PASS = """
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: TLS
    tcpRoutes: [{{hostnames: [api.test], backends: [{{host: "127.0.0.1:{port}"}}]}}]
"""


async def test_what_policy_leaves_shut_is_not_opened(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, PASS.format(port=out.port)) as world:
        talk = await world.connect("api.test:443")
        assert talk.answer.startswith(b"HTTP/1.1 200 ")
        await talk.tls(ssl.create_default_context(cafile=str(out.ca)), "api.test")
        talk.say("GET /secret HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert (await talk.whole())[0] == 200 and world.caller.touched
        talk.close()
        await talk.writer.wait_closed()


async def test_another_sni_ends_the_tunnel(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, PASS.format(port=out.port)) as world:
        talk = await world.connect("api.test:443")
        context = ssl.create_default_context(cafile=str(out.ca))
        with pytest.raises(OSError):  # whatever a client makes of the end
            await talk.tls(context, "x.wild.test")
        assert not out.seen and world.lines[-1].reason == "SNI is not api.test"
        talk.close()


async def test_what_is_no_tls_ends_the_tunnel(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, PASS.format(port=out.port)) as world:
        talk = await world.connect("api.test:443")
        talk.say("GET / HTTP/1.1\r\n\r\n")
        assert await talk.rest() == b"" and not out.seen
        talk.close()
