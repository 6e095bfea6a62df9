"""A rebuild puts a whole tree in its place or leaves nothing; manifests are test_manifest's."""

import os
from pathlib import Path

import pytest

from lifecycle.snapshots.manifest import Entry
from lifecycle.snapshots.rebuild import Rebuild, remove_tree
from lifecycle.snapshots.threads import Stop, Stopped

ROOT = Entry(b"", "d", mode=0o750, mtime_ns=1_000)
ENTRIES = (
    ROOT,
    Entry(b"d", "d", mode=0o500, mtime_ns=2_000),
    Entry(b"d/f", "f", mode=0o400, mtime_ns=3_000, size=5, pieces=((0, 0),)),
    Entry(b"d/h", "h", target=b"d/f"),
    Entry(b"d/l", "l", mtime_ns=4_000, target=b"../../outside"),
    Entry(b"d/hole", "f", mode=0o600, mtime_ns=5_000, size=1 << 40),
)


def whole(place: Path, owner: tuple[int, int] | None = None) -> Rebuild:
    made = Rebuild(place, ENTRIES, owner)
    made.lay({0: b"hello"}, Stop())
    made.finish(frozenset(), Stop())
    return made


def test_everything_is_as_the_entries_say(tmp_path: Path) -> None:
    whole(tmp_path / "out").place()
    file = tmp_path / "out" / "d" / "f"
    about = file.stat()
    assert (file.read_bytes(), about.st_mode & 0o7777, about.st_mtime_ns) == (b"hello", 0o400, 3000)
    assert about.st_ino == (tmp_path / "out/d/h").stat().st_ino
    assert os.readlink(tmp_path / "out/d/l") == "../../outside"
    assert os.lstat(tmp_path / "out/d/l").st_mtime_ns == 4000
    assert (tmp_path / "out/d/hole").stat().st_size == 1 << 40
    assert (tmp_path / "out/d/hole").stat().st_blocks == 0
    for name, mode, mtime in (("out/d", 0o500, 2000), ("out", 0o750, 1000)):
        directory = (tmp_path / name).stat()
        assert (directory.st_mode & 0o7777, directory.st_mtime_ns) == (mode, mtime)


def test_nothing_is_in_the_place_until_it_is_whole(tmp_path: Path) -> None:
    made = whole(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    made.place()
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_directory_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    whole(tmp_path / "out").place()
    assert (tmp_path / "out" / "d" / "f").read_bytes() == b"hello"


def test_a_place_that_holds_something_is_neither_filled_nor_discarded(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    made = whole(tmp_path / "out")
    with pytest.raises(OSError, match="not empty"):
        made.place()
    made.discard()
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["mine"]


@pytest.mark.parametrize("step", ["new", "laid", "placed"])
def test_discarded_it_leaves_nothing(tmp_path: Path, step: str) -> None:
    made = Rebuild(tmp_path / "out", ENTRIES, None)
    if step != "new":
        made = whole(tmp_path / "out")
    if step == "placed":
        made.place()
    made.discard()
    assert os.listdir(tmp_path) == []


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Should a manifest ever pass its check wrongly, the steps themselves still stay inside."""
    (tmp_path / "outside").mkdir()
    entries = (
        ROOT,
        Entry(b"l", "l", target=os.fsencode(tmp_path / "outside")),
        Entry(b"l/f", "f", size=5, pieces=((0, 0),)),
    )
    made = Rebuild(tmp_path / "out", entries, None)
    with pytest.raises(NotADirectoryError):
        made.lay({0: b"hello"}, Stop())
    made.discard()
    assert os.listdir(tmp_path / "outside") == [] and os.listdir(tmp_path) == ["outside"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_become_the_owners(tmp_path: Path) -> None:
    whole(tmp_path / "out", owner=(1234, 2345)).place()
    for name in ("out", "out/d", "out/d/f", "out/d/l", "out/d/hole"):
        about = os.lstat(tmp_path / name)
        assert (about.st_uid, about.st_gid) == (1234, 2345)


def test_what_is_filled_later_gets_its_mode_and_time_at_the_end(tmp_path: Path) -> None:
    made = Rebuild(tmp_path / "out", ENTRIES, None)
    made.lay({}, Stop())
    made.fill(b"d/f", iter([(0, b"hello")]))
    made.finish(frozenset({b"d/f"}), Stop())
    made.place()
    about = (tmp_path / "out/d/f").stat()
    assert (about.st_mode & 0o7777, about.st_mtime_ns, about.st_size) == (0o400, 3000, 5)


def test_a_tree_that_forbids_its_removal_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "root" / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "f").write_text("x")
    (tmp_path / "kept").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "kept")
    inner.chmod(0)
    inner.parent.chmod(0)
    remove_tree(tmp_path / "root")
    assert os.listdir(tmp_path) == ["kept"]
    remove_tree(tmp_path / "root")


def test_stopped_on_the_way_it_can_be_discarded(tmp_path: Path) -> None:
    made = Rebuild(tmp_path / "out", ENTRIES, None)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        made.lay({0: b"hello"}, stop)
    made.discard()
    assert os.listdir(tmp_path) == []
