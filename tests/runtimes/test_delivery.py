"""What is checked of a child before it is given anything; children that keep the rules are in
tests/contract."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runtimes import procfs
from runtimes.base import RuntimeFailure
from runtimes.delivery import Inside, deliver, unlocked

if TYPE_CHECKING:
    from runtimes.procfs import Pid

LOCKED = {
    "Uid": "7\t7\t7\t7",
    "Gid": "7\t7\t7\t7",
    "Groups": " ",
    "CapInh": "0",
    "CapPrm": "0",
    "CapEff": "0",
    "CapBnd": "0",
    "CapAmb": "0",
    "NoNewPrivs": "1",
    "Seccomp": "2",
    "Threads": "1",
}


def status(**changes: str) -> str:
    return "".join(f"{name}:\t{value}\n" for name, value in {**LOCKED, **changes}.items())


def test_each_right_that_is_left_is_named() -> None:
    assert unlocked(status(), 7, filtered=True) == []
    for name, value in (
        ("Uid", "7\t0\t7\t7"),
        ("Gid", "0\t7\t7\t7"),
        ("Groups", "0 "),
        ("CapEff", "200000"),
        ("CapBnd", "1"),
        ("NoNewPrivs", "0"),
        ("Seccomp", "0"),
        ("Threads", "2"),
    ):
        assert unlocked(status(**{name: value}), 7, filtered=True) == [name]
    assert unlocked(status(Seccomp="0"), 7, filtered=False) == []


LIAR = """
import socket, struct, sys
line = socket.socket(fileno=int(sys.argv[1]))
def say(text): line.send(struct.pack("!I", len(text)) + text)
say(b'{"hello": true}')
line.recv(65536)
say(b'{"locked": true}')
got = line.recv(65536)
print(got)
"""


def delivered_to(program: str, inside: Inside | None) -> bytes:
    """What a program that speaks as a child gets to know of the actor."""
    mine, theirs = socket.socketpair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    with mine, open(os.devnull, "wb") as null:
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-c", program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdout=subprocess.PIPE,
            )
        began: list[Pid] = []
        try:
            found = deliver(
                mine,
                output=null.fileno(),
                env={"TOKEN": "of-the-actor"},
                cwd=Path("/"),
                inside=inside,
                began=began.append,
                at_gate=lambda pid: None,
            )
            assert found.pid == child.pid and began == [found]
        finally:
            mine.close()
            if sys.exc_info()[0] is not None:
                child.kill()
            told, _ = child.communicate(timeout=30)
    return told


def test_a_child_that_has_not_entered_gets_nothing_of_the_actor() -> None:
    holder = subprocess.Popen(["sleep", "600"])
    try:
        inside = Inside(holder=procfs.identify(holder.pid), user=7, outside=7)
        with pytest.raises(RuntimeFailure, match="has not given up"):
            delivered_to(LIAR.replace("print(got)", "assert b'of-the-actor' not in got"), inside)
    finally:
        holder.kill()
        holder.wait()


def test_one_that_entered_and_stays_behind_is_found() -> None:
    holder = subprocess.Popen(["sleep", "600"])
    forking = LIAR.replace(
        "line.recv", "import os, time; os.fork() and time.sleep(60)\nline.recv", 1
    )
    try:
        inside = Inside(holder=procfs.identify(holder.pid), user=7, outside=7)
        with pytest.raises(RuntimeFailure, match="stays behind"):
            delivered_to(forking, inside)
    finally:
        holder.kill()
        holder.wait()


def test_without_a_sandbox_it_is_told_at_once_who_it_is() -> None:
    assert b"of-the-actor" in delivered_to(LIAR, None)


def test_a_dead_child_and_a_mumbling_one_are_failures() -> None:
    with pytest.raises(RuntimeFailure, match="ended before it was an actor"):
        delivered_to("pass", None)
    mumbling = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).send(b'????[]')"
    with pytest.raises(RuntimeFailure, match="nonsense"):
        delivered_to(mumbling, None)
