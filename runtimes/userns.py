"""A user namespace in which every actor has a user id of its own, made once by a root worker.

Root could run actors as root without capabilities, but then the kernel counts no processes for
them, and a hole in the sandbox ends in root's files. So ids 0 to RANGE-1 inside are ids from FIRST
on outside, which no file of the host belongs to. The host's own ids are inside from TRAVERSER on:
without them bubblewrap, while it builds the sandbox, could not walk to directories below a home
that is closed to others. The program itself has none of those ids nor any capability to take one,
and cannot make a user namespace of its own below this one.
"""

import contextlib
import os
import subprocess
import sys
import zlib

from runtimes.base import RuntimeFailure

FIRST = 0x7000_0000
"""Beyond what distributions, systemd and container engines give out."""
RANGE = 1 << 24
TRAVERSER = RANGE

# Unsharing needs a process with one thread, which a worker is not. In the namespace this one has
# every capability, so it may forbid user namespaces below it.
_CHILD = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10000000):
    raise OSError(ctypes.get_errno(), "unshare: " + os.strerror(ctypes.get_errno()))
os.write(1, b"1")
os.read(0, 1)
with open("/proc/sys/user/max_user_namespaces", "w") as file:
    file.write("0")
os.write(1, b"2")
os.read(0, 1)
"""


class UserNamespace:
    """Held by a descriptor; it goes when nobody in it lives and the descriptor is closed."""

    def __init__(self) -> None:
        """Blocks for some 20 ms. Raises RuntimeFailure where it cannot be made."""
        self.fd = -1
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
        )
        try:
            self._make(child)
        except OSError as error:
            raise RuntimeFailure(f"cannot map user ids: {error}") from error
        finally:
            child.communicate()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()

    def _make(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        if child.stdout.read(1) != b"1":
            raise RuntimeFailure(f"no user namespace: {_last_line(child.stderr.read())}")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child.pid}/{name}", "w") as file:
                file.write(f"0 {FIRST} {RANGE}\n{TRAVERSER} 0 {FIRST}\n")
        child.stdin.write(b"1")
        child.stdin.flush()
        if child.stdout.read(1) != b"2":
            raise RuntimeFailure(f"no limit of user namespaces: {_last_line(child.stderr.read())}")
        self.fd = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def inside(uid: str) -> int:
    """The user id of an actor in the namespace: the same at each wake, so that its files are its
    own again. Two actors of 16 million that share one are still apart in everything else."""
    return 1 + zlib.crc32(uid.encode()) % (RANGE - 1)


def outside(inside_id: int) -> int:
    return FIRST + inside_id


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no reason given"
