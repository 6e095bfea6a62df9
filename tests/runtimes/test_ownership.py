"""A durable tree given to an actor's user: all of it and nothing else."""

import os
from pathlib import Path

import pytest

from runtimes.ownership import give

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chown")
OWNER = 0x7000_1234


def test_everything_in_the_tree_and_nothing_beyond_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("the host's")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").write_text("x")
    (tree / "link").symlink_to(outside)
    (tree / "folder-link").symlink_to(tmp_path)
    give(tree, OWNER)
    for path in [tree, *tree.rglob("*")]:
        assert path.lstat().st_uid == path.lstat().st_gid == OWNER
    assert outside.stat().st_uid == tmp_path.stat().st_uid == 0
    assert tree.stat().st_mode & 0o777 == 0o700


def test_modes_stay_as_they_were(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("x")
    program.chmod(0o4755)
    give(tmp_path, OWNER)
    assert program.stat().st_mode & 0o7777 == 0o4755
    give(tmp_path, OWNER)
    assert program.stat().st_mode & 0o7777 == 0o4755
