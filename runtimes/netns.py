"""A socket made inside another process's network namespace, without going there to stay."""

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inode(pid: int) -> int:
    """The number of the network namespace that `pid` is in. Raises OSError when it is gone."""
    return os.stat(f"/proc/{pid}/ns/net").st_ino


def socket_in(pid: int, netns: int | None = None, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A non-blocking TCP (or UDP) socket that belongs to the network namespace of `pid`."""
    return socket_at(f"/proc/{pid}/ns/net", netns, kind)


def socket_at(path: str, netns: int | None = None, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A non-blocking TCP (or UDP) socket that belongs to the network namespace at `path`.

    With `netns` the namespace must be that one: a pid that was given to another process since
    then raises ConnectionRefusedError in place of reaching a stranger (A28).
    """
    with inside(path, netns):
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)


@contextlib.contextmanager
def inside(path: str, netns: int | None = None) -> Iterator[None]:
    """The calling thread in the network namespace at `path`, for as long as it takes to make a
    socket there: no await, no blocking call in between, so nothing else can run in it."""
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if netns is not None and os.fstat(there).st_ino != netns:
            raise ConnectionRefusedError("the sandbox of this address is gone")
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _return(home)
        finally:
            os.close(home)
    finally:
        os.close(there)


def _enter(namespace: int) -> None:
    # os.setns is there from Python 3.12 on; this is the same call.
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _return(home: int) -> None:
    if _libc.setns(home, CLONE_NEWNET) != 0:
        # A worker whose thread sits in an actor's network would serve that actor as the world:
        # better no worker. It cannot fail while we hold the descriptor and the capability.
        os.abort()


def enter(path: str) -> None:
    """The calling process in the network namespace at `path`, to stay."""
    there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
    finally:
        os.close(there)
