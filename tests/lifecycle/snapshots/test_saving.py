"""One pass over the directories: what it notes, when it hands out packs, how it ends early."""

import os
import random
from pathlib import Path

import pytest

from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.packs import PACK_BYTES, Packer
from lifecycle.snapshots.saving import Saving
from lifecycle.snapshots.threads import Stop, Stopped
from tests.lifecycle.snapshots.trees import plant

HOME = Home("demo", "u-1")
KEYS = Keys(bytes(32)).of("demo")


def saving(**roots: Path) -> Saving:
    return Saving(Packer(HOME, KEYS, 1, {}), {f"/{name}": path for name, path in roots.items()})


def test_each_directory_is_a_root_of_its_own(tmp_path: Path) -> None:
    made = saving(a=plant(tmp_path / "a", {"x/y": b"1"}), b=plant(tmp_path / "b", {"z": b"2"}))
    assert made.next_parcel(Stop()) is None
    manifest, parcel = made.manifest(new_name(1), None)
    paths = {root: [e.path for e in entries] for root, entries in manifest.roots.items()}
    assert paths == {"/a": [b"", b"x", b"x/y"], "/b": [b"", b"z"]}
    assert parcel.key == HOME.manifest(manifest.name) and manifest.inline == b"12"


def test_packs_come_as_they_fill_and_memory_holds_one(tmp_path: Path) -> None:
    body = random.Random(1).randbytes(PACK_BYTES * 2 + PACK_BYTES // 2)
    made = saving(a=plant(tmp_path / "a", {"big": body}))
    sizes = []
    while (parcel := made.next_parcel(Stop())) is not None:
        sizes.append(len(parcel.body))
    assert len(sizes) == 3 and max(sizes) <= PACK_BYTES * 1.01
    manifest, _ = made.manifest(new_name(1), None)
    assert [pack.size for pack in manifest.packs] == sizes and manifest.bytes_total == len(body)


def test_what_no_snapshot_keeps_is_counted(tmp_path: Path) -> None:
    root = plant(tmp_path / "a", {"f": b"x"})
    os.mkfifo(root / "fifo")
    made = saving(a=root)
    made.next_parcel(Stop())
    assert made.skipped == 1 and made.manifest(new_name(1), None)[0].files == 1


def test_stopped_and_closed_it_holds_no_descriptor(tmp_path: Path) -> None:
    before = os.listdir("/dev/fd")
    made = saving(a=plant(tmp_path / "a", {"x/y": b"1"}))
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        made.next_parcel(stop)
    made.close()
    assert len(os.listdir("/dev/fd")) == len(before)
