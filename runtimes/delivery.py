"""From a zygote's fresh child to an actor's process: what the worker tells it, and checks. Blocks.

The child is a copy of memory in which a template's code has run, so nothing that it says is
believed: which process speaks is told by the kernel with each message (SCM_CREDENTIALS, in our
process ids), and whether it has entered its sandbox and given up its rights is read in /proc,
before it gets anything of the actor's.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from runtimes import procfs
from runtimes.base import RuntimeFailure
from runtimes.cradle import LARGEST, NAMESPACES, Message, send
from runtimes.procfs import Pid

STEP_S = 10.0
GONE_S = 2.0
_CREDENTIALS = struct.Struct("3i")


class Inside(msgspec.Struct, frozen=True, kw_only=True):
    """Where a child has to be and as whom, before it is given anything."""

    holder: Pid
    """A process of the sandbox that it enters."""
    user: int
    """Its user id in there."""
    outside: int
    """The same in the worker's user namespace."""
    filters: tuple[bytes, ...] = ()
    """Its seccomp programs."""
    domain: bool = False
    """It enters a landlock domain of its own."""


def deliver(
    line: socket.socket,
    *,
    output: int,
    env: Mapping[str, str],
    cwd: Path,
    inside: Inside | None,
    began: Callable[[Pid], None],
    at_gate: Callable[[int], None],
    strangers: Callable[[], Collection[int]] = tuple,
) -> Pid:
    """The process that runs the actor's program from now on.

    `began` hears of each process as soon as it is known; `at_gate` gets the pid of a child that has
    not entered anything yet: limits set then are those of all that comes of it.
    `strangers`: who else is where only the actor's processes may be. Raises RuntimeFailure.
    """
    line.settimeout(STEP_S)
    try:
        first = procfs.identify(_hear(line, "hello"))
        began(first)
        at_gate(first.pid)
        namespaces = [] if inside is None else _open(inside.holder)
        try:
            plan = {} if inside is None else _plan(inside)
            send(line, plan, (output, *namespaces))
            main = procfs.identify(_hear(line, "locked"))
            if main != first:
                began(main)
            if inside is not None:
                # Whoever entered had every right in there: it must be over, and have left nobody.
                if main != first:
                    _until_gone(first)
                if left := strangers():
                    raise RuntimeFailure(f"a forked process left {len(left)} others behind")
                _check(main, inside, namespaces)
        finally:
            for descriptor in namespaces:
                os.close(descriptor)
        send(line, {"env": dict(env), "cwd": str(cwd)})
    except TimeoutError as error:
        raise RuntimeFailure("a forked process does not go on", retryable=True) from error
    except (BrokenPipeError, ConnectionResetError, EOFError) as error:
        raise RuntimeFailure(
            "a forked process ended before it was an actor; the parent's output says why"
        ) from error
    return main


def _plan(inside: Inside) -> Message:
    filters = [program.hex() for program in inside.filters]
    return {"user": inside.user, "filters": filters, "domain": inside.domain}


def _hear(line: socket.socket, word: str) -> int:
    """The pid of who said `word`. Raises EOFError when nobody is there."""
    data, ancillary, _, _ = line.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
    if not data:
        raise EOFError(word)
    pid = 0
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _CREDENTIALS.unpack(value[: _CREDENTIALS.size])[0]
    with suppress(ValueError):
        if len(data) <= LARGEST and word in json.loads(data[4:]) and pid > 0:
            return pid
    raise RuntimeFailure("a forked process speaks nonsense")


def _open(holder: Pid) -> list[int]:
    found: list[int] = []
    try:
        for name in NAMESPACES:
            path = f"/proc/{holder.pid}/ns/{name}"
            found.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        # Held now; before that the number might have been given away.
        if not procfs.is_alive(holder):
            raise RuntimeFailure("the sandbox of a fork ended", retryable=True)
    except BaseException as error:
        for descriptor in found:
            os.close(descriptor)
        if isinstance(error, OSError):
            raise RuntimeFailure("the sandbox of a fork ended", retryable=True) from error
        raise
    return found


def _until_gone(process: Pid) -> None:
    give_up = time.monotonic() + GONE_S
    while procfs.is_alive(process):
        if time.monotonic() > give_up:
            raise RuntimeFailure("a forked process that entered a sandbox stays behind")
        time.sleep(0.0002)


def _check(main: Pid, inside: Inside, namespaces: Collection[int]) -> None:
    try:
        status = Path(f"/proc/{main.pid}/status").read_text()
        where = [os.stat(f"/proc/{main.pid}/ns/{name}").st_ino for name in NAMESPACES]
    except OSError as error:
        raise EOFError("locked") from error
    wanted = [os.fstat(descriptor).st_ino for descriptor in namespaces]
    wrong = [name for name, is_, must in zip(NAMESPACES, where, wanted, strict=True) if is_ != must]
    if wrong or (wrong := unlocked(status, inside.outside, filtered=bool(inside.filters))):
        raise RuntimeFailure(f"a forked process has not given up: {', '.join(wrong)}")


def unlocked(status: str, user: int, *, filtered: bool) -> list[str]:
    """What a process with this /proc/PID/status still has that an actor must not have."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    found = [name for name in sets if int(fields.get(name, "1"), 16) != 0]
    ids = [str(user)] * 4
    found += [name for name in ("Uid", "Gid") if fields.get(name, "").split() != ids]
    if fields.get("Groups", "").split():
        found.append("Groups")
    if fields.get("NoNewPrivs") != "1":
        found.append("NoNewPrivs")
    if filtered and fields.get("Seccomp") != "2":
        found.append("Seccomp")
    if fields.get("Threads") != "1":
        found.append("Threads")
    return found
