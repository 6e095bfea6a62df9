"""LocalStore keeps the contract, and its directory: nothing half written, nothing outside."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.snapshots.base import Store, StoreUnavailable
from lifecycle.snapshots.local import LocalStore
from tests.contract.store import StoreContract, listed


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return LocalStore(tmp_path / "store")


class TestContract(StoreContract):
    pass


@pytest.mark.parametrize(
    "key", ["../x", "a/../x", "/etc/x", "a//b", "", ".staging/x", "a/.x", "a/b/", "a\0b", "ä"]
)
async def test_a_key_cannot_leave_the_directory(store: Store, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="cannot be a key"):
        await store.create(key, b"x")
    assert os.listdir(tmp_path) == []


async def test_objects_are_their_owners_alone(store: Store, tmp_path: Path) -> None:
    await store.create("a/b", b"x")
    assert stat.S_IMODE((tmp_path / "store/a/b").stat().st_mode) == 0o600


async def test_removing_the_last_object_removes_its_directories(
    store: Store, tmp_path: Path
) -> None:
    await store.create("a/b/m/1", b"x")
    await store.remove("a/b/m/1")
    assert os.listdir(tmp_path / "store") == [".staging"]


async def test_a_directory_that_went_away_is_not_a_missing_object(
    store: Store, tmp_path: Path
) -> None:
    await store.create("a/b", b"x")
    (tmp_path / "store").rename(tmp_path / "unmounted")
    with pytest.raises(StoreUnavailable):
        await store.read("a/b")


async def test_a_file_where_the_directory_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreUnavailable, match=r"Not a directory|File exists"):
        await LocalStore(tmp_path / "store").create("a/b", b"x")


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from lifecycle.snapshots.base import StoreUnavailable
from lifecycle.snapshots.local import LocalStore

async def main():
    store = LocalStore(Path(sys.argv[1]))
    await store.create("a/good", b"g" * 50_000)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        await store.create("a/big", b"b" * 200_000)
    except StoreUnavailable as error:
        print(error)

asyncio.run(main())
"""


def fill_disk(directory: Path) -> str:
    """Writes a good object, then one that the limit on file sizes cuts; says what it heard."""
    program = [sys.executable, "-c", FULL, str(directory)]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=30).stdout


async def test_a_full_disk_is_said_and_leaves_no_part(store: Store, tmp_path: Path) -> None:
    said = await asyncio.to_thread(fill_disk, tmp_path / "store")
    assert "no space is left (a/big)" in said
    assert await listed(store, "") == ["a/good"]
    assert await store.read("a/good") == b"g" * 50_000
    assert os.listdir(tmp_path / "store/.staging") == []


async def test_a_check_sweeps_what_a_killed_process_left_and_spares_what_is_written_now(
    store: Store, tmp_path: Path
) -> None:
    await store.check()
    staging = tmp_path / "store/.staging"
    for name in ("left", "young"):
        (staging / name).write_bytes(b"half")
    os.utime(staging / "left", (1, 1))
    await store.check()
    assert os.listdir(staging) == ["young"]
