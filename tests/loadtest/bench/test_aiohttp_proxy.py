"""The proxy that is compared with forwards what it should, or its numbers mean nothing."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict

from loadtest.bench.aiohttp_proxy import end_to_end, make_app

pytestmark = pytest.mark.filterwarnings(
    # It names its session by a string, as most programs do.
    "ignore::aiohttp.web_exceptions.NotAppKeyWarning"
)


async def test_bodies_and_fields_pass_both_ways() -> None:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        told = request.headers["X-Forwarded-For"]
        return web.Response(status=201, body=body, headers={"X-Seen": told})

    app = web.Application()
    app.router.add_post("/sink", echo)
    async with TestServer(app) as backend:
        at = f"http://{backend.host}:{backend.port}"
        async with TestClient(TestServer(make_app(at))) as client:
            answer = await client.post("/sink?x=1", data=b"b" * 300_000)
            assert answer.status == 201 and answer.headers["X-Seen"] == "127.0.0.1"
            assert await answer.read() == b"b" * 300_000


def test_fields_of_the_hop_are_dropped() -> None:
    fields = CIMultiDict([("connection", "close"), ("X", "1"), ("TE", "trailers")])
    assert list(end_to_end(fields)) == ["X"]
