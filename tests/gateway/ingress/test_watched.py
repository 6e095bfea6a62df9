"""Watched files: a change is taken over whole or not at all, and told once."""

import logging
import os
from pathlib import Path

import pytest

from gateway.ingress.watched import WatchedFiles


class Reader:
    """Takes over two files whose words must be equal."""

    def __init__(self, tmp_path: Path) -> None:
        self.paths = (tmp_path / "a", tmp_path / "b")
        self.word = ""
        self.put("one", "one")
        self.watched = WatchedFiles(self.paths, self.read)

    def put(self, *words: str) -> None:
        for path, word in zip(self.paths, words, strict=True):
            new = path.with_suffix(".new")
            new.write_text(word)
            new.replace(path)  # another inode, as editors and mounted secrets do it

    def read(self) -> None:
        a, b = (path.read_text() for path in self.paths)
        if a != b:
            raise ValueError("they do not belong together")
        self.word = a


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    made = Reader(tmp_path)
    made.watched.load()
    return made


def test_nothing_is_read_again_while_nothing_changes(reader: Reader) -> None:
    reader.word = "kept"
    assert not reader.watched.look() and reader.word == "kept"


def test_a_change_of_either_file_is_taken_over(reader: Reader) -> None:
    reader.put("two", "two")
    assert reader.watched.look() and reader.word == "two"
    assert not reader.watched.look()


def test_a_bad_pair_leaves_the_old_one_and_is_told_once(
    reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    reader.put("two", "one")
    assert not reader.watched.look() and not reader.watched.look()
    assert reader.word == "one"
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    reader.put("two", "two")
    assert reader.watched.look() and reader.word == "two"


def test_files_that_vanish_leave_the_old_ones(reader: Reader) -> None:
    os.unlink(reader.paths[0])
    assert not reader.watched.look() and reader.word == "one"


def test_a_turned_link_is_a_change(tmp_path: Path) -> None:
    words: list[str] = []
    for name in ("v1", "v2"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "current"
    link.symlink_to("v1")
    watched = WatchedFiles((link,), lambda: words.append(link.read_text()))
    watched.load()
    link.unlink()
    link.symlink_to("v2")
    assert watched.look() and words == ["v1", "v2"]


def test_what_can_not_be_read_at_first_is_the_callers_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "none"
    read: list[str] = []
    with pytest.raises(OSError, match="none"):
        WatchedFiles((path,), lambda: read.append(path.read_text())).load()
