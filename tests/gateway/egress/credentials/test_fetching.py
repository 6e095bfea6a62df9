"""Secrets that are asked for: commands, endpoints, OAuth2, on a real loopback server."""

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.egress.config.model import HttpSource, OAuth, Source
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets, SecretUnavailable

NONE = Secrets({"TOKEN": "t0ken"}, fetch)


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def secret(request: web.Request) -> web.Response:
        if request.headers.get("x-token") != "t0ken":
            return web.Response(status=403)
        return web.json_response({"data": {"key": "s3cret"}})

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        assert base64.b64decode(request.headers["authorization"].split()[1]) == b"me:t0ken"
        assert form["grant_type"] == "client_credentials" and form["scope"] == "a b"
        return web.json_response({"access_token": "bearer", "expires_in": 3600})

    async def away(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": "/secret"})

    app = web.Application()
    app.add_routes([web.get("/secret", secret), web.post("/token", token), web.get("/away", away)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_commands_output() -> None:
    got = await fetch(Source(command=("printf", "sekret\n"), ttl_s=7), NONE)
    assert (got.value, got.lives_s) == ("sekret", 7) and "sekret" not in repr(got)


@pytest.mark.parametrize("command", [("false",), ("true",), ("sh", "-c", "echo oops >&2; exit 3")])
async def test_a_command_that_gives_nothing_is_told_without_its_words(
    command: tuple[str, ...],
) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        await fetch(Source(command=command), NONE)
    assert "oops" not in str(caught.value)


async def test_an_endpoints_field(server: str) -> None:
    headers = (("x-token", Source(env="TOKEN")),)
    asked = HttpSource(url=f"{server}/secret", headers=headers, field="data.key")
    assert (await fetch(Source(http=asked), NONE)).value == "s3cret"


@pytest.mark.parametrize(
    ("path", "field", "why"),
    [("/secret", None, "403"), ("/away", None, "302"), ("/nope", None, "404")],
)
async def test_an_endpoint_that_refuses_or_sends_away(
    server: str, path: str, field: str | None, why: str
) -> None:
    with pytest.raises(SecretUnavailable, match=why):
        await fetch(Source(http=HttpSource(url=server + path, field=field)), NONE)


async def test_client_credentials_live_a_little_shorter_than_they_are_good(server: str) -> None:
    asked = OAuth(
        token_url=f"{server}/token",
        client_id="me",
        client_secret=Source(env="TOKEN"),
        scopes=("a", "b"),
    )
    got = await fetch(Source(oauth=asked), NONE)
    assert got.value == "bearer" and 3500 < got.lives_s < 3600
