"""From a head to the outside: the ways in, and where nobody gets to.

Every server here is a real one on loopback; what it saw is what it got.
"""

from pathlib import Path

import pytest

from tests.gateway.egress.world import PLAIN, get, intercept, origin, running


async def test_absolute_form_reaches_what_a_route_names(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            assert await get(world, f"http://{host}/x?y=1", host) == (200, b"ok")
            assert out.seen[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nhost: " + host.encode())
            assert out.header("proxy-authorization") is None


async def test_a_base_url_is_a_route_of_a_plain_listener(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="")
        async with running(tmp_path, text) as world:
            status, _ = await get(world, "http://egress.internal/api/v1/x", "egress.internal")
            assert status == 200 and out.seen[0].startswith(b"GET /v1/x ")
            assert out.header("authorization") == "Bearer sekret"
            status, body = await get(world, "/nothing", "egress.internal")
            assert status == 404 and body.startswith(b"route not found\n")


async def test_an_intercepted_request_gets_its_credential(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, policies="backendAuth: {key: sekret}")
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            assert talk.answer.startswith(b"HTTP/1.1 200 ")
            await talk.tls(world.client_tls(), "api.test")
            for _ in range(3):
                talk.say("GET /a HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer mine\r\n\r\n")
                assert (await talk.whole())[::2] == (200, b"ok")
            assert out.header("authorization") == "Bearer sekret" and out.connections == 1
            assert b"mine" not in b"".join(out.seen)
            line = world.lines[0]
            assert (line.actor, line.decision, line.to, line.path) == (
                "demo/c1", "allow", "api.test:443", "/a")  # fmt: skip
            assert "sekret" not in repr(world.lines)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:169.254.169.254]"]
)
async def test_private_addresses_are_refused_unless_named(tmp_path: Path, host: str) -> None:
    text = """
binds:
- {port: 3128, tunnelProtocol: connect, listeners: []}
- mode: internal
  listeners: [{name: p, routes: [{backends: [{dynamic: {}}]}]}]
"""
    async with running(tmp_path, text) as world:
        status, body = await get(world, f"http://{host}/latest/meta-data", host)
        assert status == 403 and body.startswith(b"authorization failed\n"), body
        talk = await world.connect(f"{host}:80")
        assert talk.answer.startswith(b"HTTP/1.1 403 ")
        talk.close()


async def test_a_name_that_is_rebound_is_judged_by_where_it_points_then(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        asked: list[str] = []

        async def lookup(host: str) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]  # a resolver of the actor's own choice, in effect

        text = PLAIN.format(port=out.port, private="10.0.0.0/8")
        async with running(tmp_path, text, lookup=lookup) as world:
            host = f"a.rebind.test:{out.port}"
            status, body = await get(world, f"http://{host}/", host)
            assert status == 403 and b"127.0.0.1 is a loopback address" in body
            assert asked == ["a.rebind.test"] and not out.connections


async def test_a_redirect_is_the_actors_to_follow_and_judged_anew(tmp_path: Path) -> None:
    def away(_head: bytes, _body: bytes) -> bytes:
        return (
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
        )

    async with origin(tmp_path, away, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            assert (await get(world, f"http://{host}/", host))[0] == 302
            assert (await get(world, "http://169.254.169.254/", "169.254.169.254"))[0] == 404


async def test_actors_share_no_connection_to_the_outside(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            for token in ("t1", "t2", "t1", "t2"):
                assert (await get(world, f"http://{host}/", host, token=token))[0] == 200
            assert out.connections == 2
