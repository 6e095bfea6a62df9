"""Copies of directories: whole, or an error; cut short they leave no process."""

import os
from pathlib import Path

import pytest

from lifecycle.host.copying import copy_into


async def test_links_modes_times_and_holes_are_kept(tmp_path: Path) -> None:
    one, into = tmp_path / "one", tmp_path / "into"
    one.mkdir()
    into.mkdir()
    (one / "file").write_text("x")
    os.chmod(one / "file", 0o640)
    os.utime(one / "file", ns=(1, 2))
    (one / "link").symlink_to("file")
    with (one / "hole").open("wb") as file:
        file.truncate(1 << 30)
    await copy_into([one], into)
    about = (into / "one" / "file").stat()
    assert (about.st_mode & 0o777, about.st_mtime_ns) == (0o640, 2)
    assert os.readlink(into / "one" / "link") == "file"
    assert (into / "one" / "hole").stat().st_blocks == 0


async def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not be copied"):
        await copy_into([tmp_path / "none"], tmp_path)
