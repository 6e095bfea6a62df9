"""Which store a URL means."""

from pathlib import Path

import pytest

from lifecycle.snapshots.stores import StoreUrlInvalid, open_store


async def test_a_file_url_is_a_directory(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/a%20b")
    await store.create("a/b", b"x")
    assert (tmp_path / "a b" / "a" / "b").read_bytes() == b"x"  # a test's glance


async def test_an_s3_url_is_a_bucket_with_a_prefix() -> None:
    store = open_store("s3://bucket/some/prefix?endpoint=http://127.0.0.1:9&region=eu-1")
    assert repr(store) == "<Retrying <S3Store bucket/some/prefix/>, 20 s>"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/data",
        "file://host/data",
        "file:data",
        "file:///d?x=1",
        "s3://",
        "s3:///p",
        "gs://b",
        "s3://b?enpoint=http://x",
    ],
)
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreUrlInvalid):
        open_store(url)


def test_credentials_in_a_url_are_refused_and_not_quoted() -> None:
    with pytest.raises(StoreUrlInvalid) as refused:
        open_store("s3://user:hunter2@bucket/prefix")
    assert "hunter2" not in str(refused.value)
