"""The program that makes a sandbox which one zygote may enter: bwrap in an own user namespace.

A process has every right over a user namespace that its user made below the one it is in. So for
each child one is made in the name of the zygote's user, which has no rights at all; and in it are
two users, the zygote's and the actor's: no root, no other actor. bwrap, in there as the zygote's
user, makes the other namespaces. To make a user namespace is forbidden to everybody in ours
(userns), but for the instant in which this program does it.
"""

import fcntl
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterable
from typing import Any

from runtimes.cradle import NAMESPACES, checked, libc, receive, send

SHOWN_AT = "/tmp"
_BIND, _REC, _SLAVE = 0x1000, 0x4000, 0x80000
_MOST = "/proc/sys/user/max_user_namespaces"


def enclose(told: dict[str, Any], fds: list[int]) -> int:
    """Its pid: of a child that waits until its users are there, then is bwrap. `told` is JSON."""
    made, say_made = os.pipe()
    go, say_go = os.pipe()
    _allow(1_000_000)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                os.close(made)
                os.close(say_go)
                _in_child(told, fds, say_made, go)
            except BaseException as error:  # noqa: BLE001
                # Whatever it was, the process ends, and it is told.
                os.write(say_made, f"{type(error).__name__}: {error}".encode()[:500])
            finally:
                os._exit(127)
        os.close(say_made)
        said = os.read(made, 500)
        if said == b"made":
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{pid}/{name}", "w") as file:
                    file.write(f"0 {told['owner']} 1\n{told['user']} {told['user']} 1\n")
            os.write(say_go, b"1")
            said = os.read(made, 500)  # closed by the exec
        if said:
            raise OSError(said.decode(errors="replace"))
        return pid
    finally:
        _allow(0)
        for end in (made, go, say_go):
            os.close(end)


def _in_child(told: dict[str, Any], fds: list[int], say_made: int, go: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # What bwrap starts holds the sandbox and must outlive a polite end of the actor.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _show(told["shown"])
    owner = told["owner"]
    os.setgroups([])
    os.setresgid(owner, owner, owner)
    os.setresuid(owner, owner, owner)
    checked(libc().unshare(NAMESPACES["user"]))
    os.write(say_made, b"made")
    if os.read(go, 1) != b"1":
        raise OSError("its users could not be named")
    _allow(0)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    os.setsid()
    os.chdir("/")
    say_made = _arrange(fds, told["places"], say_made)
    try:
        os.execve(told["argv"][0], told["argv"], {})
    except OSError as error:
        os.write(say_made, str(error).encode()[:500])


def _show(shown: list[str]) -> None:
    """Directories where one without any rights can walk to, in mounts of this process alone."""
    c = libc()
    checked(c.unshare(NAMESPACES["mnt"]))
    checked(c.mount(None, b"/", None, _REC | _SLAVE, None))
    held = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in shown]
    checked(c.mount(b"tmpfs", SHOWN_AT.encode(), b"tmpfs", 0, b"mode=0755,size=64k"))
    for number, descriptor in enumerate(held):
        place = f"{SHOWN_AT}/{number}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(place)
        else:
            os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
        # Opened before: some of them are below the place that is covered now.
        source = f"/proc/self/fd/{descriptor}".encode()
        checked(c.mount(source, place.encode(), None, _BIND | _REC, None))


def _arrange(fds: list[int], places: list[int], say_made: int) -> int:
    """The descriptors at the numbers that bwrap was told, and none beside but `say_made`: where
    that is now. The exec closes it."""
    above = max([*places, 2]) + 1
    held = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
    mine = fcntl.fcntl(say_made, fcntl.F_DUPFD_CLOEXEC, above)
    null = fcntl.fcntl(os.open("/dev/null", os.O_RDONLY), fcntl.F_DUPFD_CLOEXEC, above)
    os.dup2(null, 0)
    _close_others({0, *places}, above)
    for fd, place in zip(held, places, strict=True):
        os.dup2(fd, place)
    os.closerange(above, mine)
    os.closerange(mine + 1, 1 << 20)
    return mine


def _close_others(kept: Iterable[int], below: int) -> None:
    for number in set(range(below)) - set(kept):
        try:
            os.close(number)
        except OSError:
            continue


def _allow(count: int) -> None:
    with open(_MOST, "w") as file:
        file.write(str(count))


def main(control: socket.socket, users: int) -> None:
    checked(libc().setns(users, NAMESPACES["user"]))
    os.close(users)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here asks how one ended
    while (got := receive(control)) is not None:
        told, fds = got
        try:
            answer: dict[str, Any] = {"pid": enclose(told, fds)}
        except OSError as error:
            answer = {"failed": str(error)}
        finally:
            for fd in fds:
                os.close(fd)
        send(control, answer)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
