"""The worker's side of making sandboxes for forks: its helper, and failures."""

import os
import signal
from collections.abc import Iterator

import pytest

from runtimes import procfs, userns
from runtimes.base import RuntimeFailure
from runtimes.enclosures import Enclosures

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: who maps user ids")


@pytest.fixture
def enclosures() -> Iterator[Enclosures]:
    users = userns.UserNamespace()
    made = Enclosures(users)
    yield made
    made.close()
    users.close()


def spawn(enclosures: Enclosures, program: str, *shown: str) -> int:
    out = os.open(os.devnull, os.O_WRONLY)
    try:
        return enclosures.spawn(
            [program, "600"], owner=70, user=71, output=out, keep=(), shown=shown
        )
    finally:
        os.close(out)


def helpers() -> set[procfs.Pid]:
    return {
        child
        for child in procfs.children(procfs.identify(os.getpid()))
        if procfs.is_alive(child) and b"runtimes.enclosing" in _line(child.pid)
    }


def _line(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_one_helper_makes_them_all_and_leaves_no_zombies(enclosures: Enclosures) -> None:
    before = helpers()
    pids = [spawn(enclosures, "/bin/sleep") for _ in range(3)]
    assert len(set(pids)) == 3 and len(helpers() - before) == 1
    for pid in pids:
        process = procfs.identify(pid)
        os.kill(pid, signal.SIGKILL)
        while procfs.is_same(process):
            pass


def test_a_dead_helper_is_one_failure_and_then_a_new_one(enclosures: Enclosures) -> None:
    before = helpers()
    os.kill(spawn(enclosures, "/bin/sleep"), signal.SIGKILL)
    (helper,) = helpers() - before
    os.kill(helper.pid, signal.SIGKILL)
    while procfs.is_alive(helper):
        pass
    with pytest.raises(RuntimeFailure) as failure:
        spawn(enclosures, "/bin/sleep")
    assert failure.value.retryable
    os.kill(spawn(enclosures, "/bin/sleep"), signal.SIGKILL)


def test_what_cannot_be_started_or_shown_is_told_and_the_helper_goes_on(
    enclosures: Enclosures,
) -> None:
    with pytest.raises(RuntimeFailure, match="No such file"):
        spawn(enclosures, "/no/such/program")
    with pytest.raises(RuntimeFailure, match="No such file"):
        spawn(enclosures, "/bin/sleep", "/no/such/directory")
    os.kill(spawn(enclosures, "/bin/sleep"), signal.SIGKILL)
