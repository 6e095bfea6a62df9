"""Holes and zeros are not copied, everything else is."""

import os
from pathlib import Path

from runtimes.sparse import BLOCK_BYTES, copy


def test_what_is_held_is_copied_and_what_is_not_stays_a_hole(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    size = 64 * BLOCK_BYTES + 100
    with source.open("wb") as file:
        file.truncate(size)
        for at in (0, 5 * BLOCK_BYTES + 17, size - 3):
            file.seek(at)
            file.write(b"abc")
        file.seek(20 * BLOCK_BYTES)
        file.write(bytes(10 * BLOCK_BYTES))
    written = copy(source, target)
    assert source.read_bytes() == target.read_bytes()
    assert written <= 3 * BLOCK_BYTES
    assert os.stat(target).st_blocks * 512 < size / 4


def test_a_file_of_nothing_is_a_file_of_its_size(tmp_path: Path) -> None:
    with (tmp_path / "source").open("wb") as file:
        file.truncate(1 << 20)
    assert copy(tmp_path / "source", tmp_path / "target") == 0
    assert (tmp_path / "target").stat().st_size == 1 << 20
