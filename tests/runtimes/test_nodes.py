"""Numbers of files over renames, removals, and another machine."""

import json
import os
from pathlib import Path

from runtimes.nodes import Nodes


def test_one_inode_is_one_number_by_whichever_name(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.link(tmp_path / "a", tmp_path / "b")
    nodes = Nodes()
    top = nodes.meet(0, 0, b"", os.stat(tmp_path))
    one = nodes.meet(0, top.number, b"a", os.stat(tmp_path / "a"))
    two = nodes.meet(0, top.number, b"b", os.stat(tmp_path / "b"))
    assert one is two and nodes.path(one) == b"b"


def test_a_number_follows_its_file_and_its_directory(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    nodes = Nodes()
    top = nodes.meet(0, 0, b"", os.stat(tmp_path))
    d = nodes.meet(0, top.number, b"d", os.stat(tmp_path / "d"))
    f = nodes.meet(0, d.number, b"f", os.stat(tmp_path / "d" / "f"))
    nodes.moved(0, os.stat(tmp_path / "d"), top.number, b"e")
    assert nodes.path(f) == b"e/f"


def test_what_was_removed_is_nobody_and_its_inode_may_be_anothers(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    about = os.stat(tmp_path / "f")
    nodes = Nodes()
    top = nodes.meet(0, 0, b"", os.stat(tmp_path))
    old = nodes.meet(0, top.number, b"f", about)
    nodes.gone(0, about)
    assert nodes.path(old) is None
    assert nodes.meet(0, top.number, b"g", about).number != old.number


def test_forgotten_as_often_as_told_it_is_gone(tmp_path: Path) -> None:
    nodes = Nodes()
    top = nodes.meet(0, 0, b"", os.stat(tmp_path))
    nodes.meet(0, 0, b"", os.stat(tmp_path))
    nodes.forget(top.number, 1)
    assert nodes.get(top.number) is top
    nodes.forget(top.number, 1)
    nodes.forget(top.number, 1)
    assert nodes.get(top.number) is None


def test_another_process_takes_the_numbers_up_by_name(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    nodes = Nodes()
    top = nodes.meet(0, 0, b"", os.stat(tmp_path))
    file = nodes.meet(0, top.number, b"f", os.stat(tmp_path / "f"))
    again = Nodes()
    again.take_up(json.loads(json.dumps(nodes.told())))
    for node in again.all():
        path = again.path(node)
        assert path is not None
        again.found(node, os.stat(tmp_path / os.fsdecode(path)))
    # It is asked for by another name of a place, and is known.
    assert again.meet(0, top.number, b"f", os.stat(tmp_path / "f")).number == file.number
    (tmp_path / "g").touch()
    assert again.meet(0, top.number, b"g", os.stat(tmp_path / "g")).number > file.number
