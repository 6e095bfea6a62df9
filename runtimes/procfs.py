"""What the kernel says of processes: who is alive since when, who descends from whom. Linux /proc.

Where there is no /proc (macOS) the answers shrink to what signals and process groups tell.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PF_EXITING = 0x4
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Pid(NamedTuple):
    """A process that cannot be mistaken for a later one of the same number."""

    pid: int
    started: int
    """Ticks since boot at which it began (proc_pid_stat(5), field 22)."""


class Stat(NamedTuple):
    pid: int
    state: str
    parent: int
    session: int
    cpu_ticks: int
    """Its own time and that of the children it has waited for."""
    started: int
    resident_pages: int
    flags: int = 0
    """The kernel's own (PF_*)."""

    @property
    def is_over(self) -> bool:
        """A zombie runs no more; only its parent can take it away. Nor does one that is on its way
        out: process 1 of a namespace waits there for others' parents, which may take for ever."""
        return self.state in "ZX" or bool(self.flags & PF_EXITING)


def stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        # By hand: a Path costs more than the kernel's answer, and we ask for every process.
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        line = os.read(file, 4096).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(file)
    # The name stands in parentheses and may hold any character, parentheses included.
    name_end = line.rindex(")")
    fields = line[name_end + 2 :].split()
    return Stat(
        pid=pid,
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=sum(int(ticks) for ticks in fields[11:15]),
        started=int(fields[19]),
        resident_pages=int(fields[21]),
        flags=int(fields[6]),
    )


def identify(pid: int) -> Pid:
    """`pid` with its start time; 0 where the system does not tell it."""
    found = stat(pid)
    return Pid(pid, found.started if found else 0)


def is_alive(process: Pid) -> bool:
    """The very process, and not yet a zombie."""
    if not PROC.joinpath("self").exists():
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return False  # another user's: the number was given to somebody else
        return True
    found = stat(process.pid)
    return found is not None and not found.is_over and found.started == process.started


def is_same(process: Pid) -> bool:
    """The very process, a zombie included."""
    found = stat(process.pid)
    return found is not None and found.started == process.started


def send(process: Pid, number: signal.Signals) -> None:
    """Signal exactly this process; one that is gone meanwhile is no error."""
    if not hasattr(os, "pidfd_open"):
        if is_alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return
    try:
        held = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        # Compared after the descriptor holds it: from here on the number cannot change hands.
        if is_alive(process):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(held, number)
    finally:
        os.close(held)


def everyone() -> Iterator[Stat]:
    """All processes that live now; one that ends meanwhile is left out."""
    try:
        names = os.listdir(PROC)
    except OSError:
        return
    for name in names:
        if name.isdigit() and (found := stat(int(name))) is not None and not found.is_over:
            yield found


def family(roots: Iterable[Pid], marker: str | None = None) -> set[Pid]:
    """Everyone that descends from a root, shares its session, or carries `marker` in the
    environment it was started with: together they also find a daemon that left its parents."""
    people = list(everyone())
    alive = {person.pid: person for person in people}
    # A number that is a session's cannot be given away while the session has a member. So where
    # a root's number is another process's by now, that is another session too.
    sessions = {
        root.pid
        for root in roots
        if (found := stat(root.pid)) is None or found.started == root.started
    }
    members = {pid for pid in sessions if pid in alive}
    members |= {person.pid for person in people if person.session in sessions}
    if marker is not None:
        members |= {person.pid for person in people if _is_marked(person.pid, marker)}
    grew = True
    while grew:
        children = {person.pid for person in people if person.parent in members} - members
        members |= children
        grew = bool(children)
    members.discard(os.getpid())
    return {Pid(pid, alive[pid].started) for pid in members}


def holders(path: Path) -> set[Pid]:
    """Everyone whose stdout or stderr is the file at `path`, whoever is its parent by now."""
    wanted = str(path)
    found = set()
    for person in everyone():
        for number in (1, 2):
            with contextlib.suppress(OSError):
                if os.readlink(PROC / str(person.pid) / "fd" / str(number)) == wanted:
                    found.add(Pid(person.pid, person.started))
    found.discard(identify(os.getpid()))
    return found


def children(parent: Pid) -> set[Pid]:
    """Its children, without looking at every process of the machine where the kernel lists them."""
    found = set()
    try:
        for task in os.listdir(f"/proc/{parent.pid}/task"):
            with open(f"/proc/{parent.pid}/task/{task}/children") as file:
                found |= {identify(int(word)) for word in file.read().split()}
    except OSError:
        if not os.path.exists("/proc/thread-self/children"):
            return family([parent]) - {parent}
    return found


def _is_marked(pid: int, marker: str) -> bool:
    try:
        return marker.encode() in (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
