"""A landlock domain around a child, on the real kernel where it has them."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtimes import landlock

pytestmark = pytest.mark.skipif(bool(landlock.why_not()), reason=landlock.why_not())

ASK = """
import os, socket, sys
try:
    if sys.argv[1] == "signal":
        os.kill(int(sys.argv[2]), 0)
    else:
        socket.socket(socket.AF_UNIX).connect("\\0" + sys.argv[2])
except PermissionError:
    print("held")
else:
    print("got out")
"""


def asks(*what: str) -> str:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", ASK, *what], capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_confined_child_signals_nobody_outside() -> None:
    me = str(os.getpid())
    assert landlock.confined(lambda: asks("signal", me)) == "held"
    assert asks("signal", me) == "got out"


def test_a_confined_child_reaches_no_abstract_socket_outside() -> None:
    name = f"rouse-test-{os.urandom(8).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        assert landlock.confined(lambda: asks("connect", name)) == "held"
        assert asks("connect", name) == "got out"


def test_two_domains_are_strangers() -> None:
    name = f"rouse-test-{os.urandom(8).hex()}"
    with landlock.confined(lambda: socket.socket(socket.AF_UNIX)) as server:
        server.bind("\0" + name)
        server.listen()
        assert landlock.confined(lambda: asks("connect", name)) == "held"


def test_who_asks_for_a_domain_stays_out_of_it() -> None:
    mine = Path("/proc/thread-self/status")
    before = mine.read_text().partition("NoNewPrivs")[2]
    assert landlock.confined(threading.get_ident) != threading.get_ident()
    assert mine.read_text().partition("NoNewPrivs")[2].split()[:2] == before.split()[:2]
    assert asks("signal", str(os.getpid())) == "got out"


def test_a_failure_inside_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        landlock.confined(lambda: 1 / 0)
