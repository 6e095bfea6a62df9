"""What the program of a zygote does with messages and files; forking is in tests/contract."""

import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtimes import cradle


def test_messages_and_descriptors_arrive_whole() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs, open(os.devnull) as null:
        cradle.send(mine, {"env": {"A": "é" * 3000}}, (null.fileno(),))
        got = cradle.receive(theirs)
        assert got is not None and got[0] == {"env": {"A": "é" * 3000}}
        assert os.fstat(got[1][0]).st_rdev == os.fstat(null.fileno()).st_rdev
        os.close(got[1][0])


def test_a_closed_line_and_a_boundless_message_are_an_end() -> None:
    mine, theirs = socket.socketpair()
    with theirs:
        with mine:
            mine.send(struct.pack("!I", cradle.LARGEST + 1) + b"{}")
            assert cradle.receive(theirs) is None
            mine.send(struct.pack("!I", 100) + b"{")
        assert cradle.receive(theirs) is None


def test_a_message_to_who_has_just_closed_is_no_error_once_it_is_out() -> None:
    mine, theirs = socket.socketpair()
    with mine:
        cradle.send(mine, {"locked": True})
        theirs.close()
        with pytest.raises(BrokenPipeError):
            cradle.send(mine, {"locked": True})


def test_changed_and_vanished_files_look_different(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("a = 1")
    before = cradle.look(str(file))
    file.write_text("a = 12")
    assert before is not None and cradle.look(str(file)) not in (None, before)
    file.unlink()
    assert cradle.look(str(file)) is None


def test_a_parent_that_cannot_import_says_so_and_ends(tmp_path: Path) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        parent = subprocess.Popen(
            [sys.executable, cradle.__file__, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
        )
        told = {"modules": ["json", "nowhere_at_all"], "cwd": str(tmp_path), "module": "x"}
        cradle.send(mine, {**told, "arguments": ["-m"], "command": []})
        got = cradle.receive(mine)
        _, said = parent.communicate(timeout=30)
    assert got is not None and "cannot import nowhere_at_all" in got[0]["failed"]
    assert parent.returncode == 0 and b"ModuleNotFoundError" in said


def test_where_the_program_is_comes_first_of_the_places_to_import_from(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")
    ask = "import json, sys; from runtimes import cradle; cradle.place(json.loads(sys.argv[1])); "
    for flags, module, expected in (((), "", True), ((), "main", True), (("-P",), "", False)):
        told = {"cwd": str(tmp_path), "module": module, "arguments": ["main.py"]}
        done = subprocess.run(
            [sys.executable, *flags, "-c", ask + "print(sys.path[0])", json.dumps(told)],
            env={"PYTHONPATH": str(Path(cradle.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout.strip() == str(tmp_path.resolve())) is expected, done.stdout
