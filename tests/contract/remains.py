"""What a machine shows of one driver's sandboxes: processes, mounts, namespaces, cgroups, files,
descriptors. What others on the machine have is told apart by name."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from runtimes import procfs
from runtimes.base import Driver
from runtimes.gvisor import Gvisor
from runtimes.microvm import Microvm
from runtimes.seats import STATE
from runtimes.vmseats import MEMORY
from runtimes.vmseats import STATE as MACHINES

CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = Path("/run/netns")


def of(driver: Driver, root: Path) -> set[str]:
    """One line for each thing. `root` is the test's, and all names of its sandboxes hold a uid that
    has a directory in it, or the mark of its driver."""
    marks = [str(root), *(path.name for path in (root / "copies").iterdir())]
    if isinstance(driver, Gvisor | Microvm):
        marks.append(driver.seats.mark)
    found = [*_processes(marks), *_mounts(marks), *_files(root), *_descriptors()]
    for kind, place in (
        *(("cgroup", CGROUPS), ("namespace", NAMESPACES)),
        *(("state", STATE), ("state", MACHINES), ("memory", MEMORY)),
    ):
        found += [f"{kind} {name}" for name in _named(place, marks)]
    return set(found)


def _processes(marks: list[str]) -> Iterator[str]:
    for person in procfs.everyone():
        told = told_by(person.pid)
        if person.pid != os.getpid() and any(mark.encode() in told for mark in marks):
            yield f"process {person.pid}"


def told_by(pid: int) -> bytes:
    """What names a sandbox in one of its processes: one whose command and environment are the
    program's alone has its directories among its mounts."""
    told = b""
    with contextlib.suppress(OSError):
        for name in ("cmdline", "environ", "mountinfo"):
            told += Path(f"/proc/{pid}/{name}").read_bytes()
    return told


def _mounts(marks: list[str]) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if any(mark in line for mark in marks):
            yield f"mount {line}"


def _named(place: Path, marks: list[str]) -> Iterator[str]:
    """Directories, or files of a flat place, whose own name tells whose they are."""
    for directory, below, files in os.walk(place):
        names = below if place == CGROUPS else [*below, *files]
        for name in names:
            if any(mark in name for mark in marks):
                yield f"{directory}/{name}"


def _files(root: Path) -> Iterator[str]:
    """The driver's own; copies and logs are their owner's to remove."""
    for path in (root / "driver").rglob("*"):
        yield f"file {path}"


def _descriptors() -> Iterator[str]:
    """By what they are open on, each of a kind numbered: sockets have other names each time."""
    counted: dict[str, int] = {}
    for name in sorted(os.listdir("/proc/self/fd")):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # of the listing itself
            continue
        if target.startswith("socket:") and _is_reservation(int(name)):
            continue
        kind = target.partition(":[")[0]
        counted[kind] = counted.get(kind, 0) + 1
        yield f"descriptor {kind} {counted[kind]}"


def _is_reservation(descriptor: int) -> bool:
    """A port's mark, which stays on purpose until it has cooled."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as found:
            return str(found.getsockname()).find("rouse-port") >= 0
    except OSError:
        return False
