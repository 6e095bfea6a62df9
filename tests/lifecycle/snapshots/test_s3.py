"""S3Store keeps the contract on a real S3 server, with signed requests."""

import secrets
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from lifecycle.snapshots.base import ObjectExists, Store, StoreUnavailable
from lifecycle.snapshots.s3 import S3Store
from tests.contract.store import StoreContract, listed
from tests.objectstore import BUCKET


def some_store(endpoint: str, prefix: str | None = None, bucket: str = BUCKET) -> S3Store:
    prefix = secrets.token_hex(6) if prefix is None else prefix
    return S3Store(bucket, prefix, endpoint_url=endpoint, region="us-east-1")


@pytest.fixture
async def store(s3_endpoint: str) -> AsyncIterator[Store]:
    made = some_store(s3_endpoint)
    yield made
    await made.close()


class TestContract(StoreContract):
    pass


async def test_two_prefixes_of_one_bucket_do_not_see_each_other(s3_endpoint: str) -> None:
    one, two = (some_store(s3_endpoint, prefix) for prefix in ("one", "/one-more/"))
    await one.create("a/b", b"1")
    await two.create("a/b", b"2")
    assert (await one.read("a/b"), await two.read("a/b")) == (b"1", b"2")
    assert await listed(one, "") == ["a/b"]
    await one.close()
    await two.close()


async def test_a_bucket_that_is_not_there_is_unavailable_not_missing(s3_endpoint: str) -> None:
    store = some_store(s3_endpoint, bucket="no-such-bucket")
    with pytest.raises(StoreUnavailable, match="no-such-bucket"):
        await store.read("a/b")
    await store.close()


async def test_wrong_credentials_are_unavailable_and_not_shown(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    store = some_store(s3_endpoint)
    with pytest.raises(StoreUnavailable) as refused:
        await store.create("a/b", b"x")
    assert "not-the-secret" not in f"{refused.value!r} {store!r}"
    await store.close()


async def test_a_server_that_is_away_is_unavailable(s3_endpoint: str) -> None:
    store = some_store("http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.close()


class OddServer:
    """An S3 endpoint that gives one answer, whatever it is asked, and counts."""

    def __init__(self, status: int, code: str = "", cut: bool = False) -> None:
        self.status, self.code, self.cut = status, code, cut
        self.asked: list[str] = []
        self.server = TestServer(self.app())

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        await request.read()
        if self.cut:
            cut = web.StreamResponse(headers={"Content-Length": "1000"})
            await cut.prepare(request)
            await cut.write(b"not all of it")
            assert request.transport is not None
            request.transport.close()
            return cut
        body = f"<Error><Code>{self.code}</Code><Message>hunter2</Message></Error>"
        return web.Response(status=self.status, text=body, content_type="application/xml")

    async def __aenter__(self) -> S3Store:
        await self.server.start_server()
        self.store = some_store(str(self.server.make_url("")).rstrip("/"))
        return self.store

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()
        await self.server.close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rouse-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "rouse-test-secret")


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (412, "PreconditionFailed", ObjectExists),
        (409, "ConditionalRequestConflict", StoreUnavailable),
        (500, "InternalError", StoreUnavailable),
        (503, "SlowDown", StoreUnavailable),
        (403, "AccessDenied", StoreUnavailable),
    ],
)
async def test_an_answer_to_a_create_means_one_thing_and_is_not_repeated_below(
    status: int, code: str, meaning: type[Exception]
) -> None:
    odd = OddServer(status, code)
    async with odd as store:
        with pytest.raises(meaning) as told:
            await store.create("a/b", b"x")
    assert odd.asked == ["PUT"] and "hunter2" not in str(told.value)


async def test_an_answer_that_is_cut_off_is_not_an_object() -> None:
    odd = OddServer(200, cut=True)
    async with odd as store:
        with pytest.raises(StoreUnavailable):
            await store.read("a/b")
    assert odd.asked == ["GET"]


async def test_an_answer_that_is_not_s3_is_unavailable() -> None:
    odd = OddServer(404, "<html>")
    async with odd as store:
        with pytest.raises(StoreUnavailable):
            await store.read("a/b")
