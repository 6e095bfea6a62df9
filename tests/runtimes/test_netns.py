"""Sockets in another network namespace, and a thread that is always back home."""

import os
import subprocess
import threading
from collections.abc import Iterator

import pytest

from runtimes.netns import inode, socket_in

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another network namespace")


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process in a network namespace of its own."""
    child = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep 60"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    yield child.pid
    child.kill()
    child.communicate()


def home() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_socket_is_there_and_the_thread_is_here(stranger: int) -> None:
    before = home()
    with socket_in(stranger) as there:
        assert home() == before != inode(stranger)
        assert not there.getblocking()
        # Its loopback is down, ours is up.
        assert there.connect_ex(("127.0.0.1", 9)) == 101


def test_a_pid_in_another_namespace_than_meant_is_refused(stranger: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket_in(stranger, netns=home())
    with socket_in(stranger, netns=inode(stranger)):
        pass


def test_a_process_that_is_gone_raises_and_leaks_nothing(stranger: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):
        socket_in(2**22 + 1)
    with pytest.raises(ConnectionRefusedError):
        socket_in(stranger, netns=1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_other_threads_stay_where_they_are(stranger: int) -> None:
    before, strayed, over = home(), [], threading.Event()

    def watch() -> None:
        while not over.is_set():
            if home() != before:
                strayed.append(home())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(300):
        socket_in(stranger).close()
    over.set()
    watcher.join()
    assert strayed == [] and home() == before
