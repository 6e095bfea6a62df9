"""S3Store keeps the contract on a real S3 server, with signed requests."""

import secrets
from collections.abc import AsyncIterator

import pytest

from lifecycle.snapshots.base import Store, StoreUnavailable
from lifecycle.snapshots.s3 import S3Store
from tests.contract.store import StoreContract, listed
from tests.lifecycle.snapshots.conftest import BUCKET


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
