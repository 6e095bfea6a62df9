"""One cgroup (version 2) per sandbox: freeze, kill, count and limit all its processes as one.

A cgroup without controllers still freezes, kills and counts CPU time; `memory`, `cpu` and `pids`
are limited where the controllers can be handed down to us, or are in version 1. Everything here is
a file operation that the kernel answers at once; only `freeze` and `remove` wait.
"""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from runtimes import cgroups_v1
from runtimes.base import Resources, RuntimeFailure
from runtimes.procfs import PAGE_BYTES, PROC

FREEZE_WAIT_S = 5.0
_GONE = (errno.ENOENT, errno.ENODEV)
"""A group that is removed while its file is being opened or written answers the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """The cgroup of one sandbox."""

    path: Path
    beside: cgroups_v1.Groups | None = None
    """What limits it where version 2 does not."""

    def join(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(str(pid))
        if self.beside is not None:
            self.beside.join(pid)

    def adopt(self, pid: int) -> None:
        """Join, from another sandbox's."""
        with contextlib.suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(str(pid))
        if self.beside is not None:
            self.beside.adopt(pid)

    def pids(self) -> list[int]:
        try:
            text = (self.path / "cgroup.procs").read_text()
        except OSError:
            return []
        return [int(line) for line in text.split()]

    @property
    def is_populated(self) -> bool:
        return self._events().get("populated") == "1"

    @property
    def is_frozen(self) -> bool:
        return self._events().get("frozen") == "1"

    async def freeze(self) -> None:
        """Return when every process stands still."""
        try:
            (self.path / "cgroup.freeze").write_text("1")
        except OSError as error:
            if error.errno not in _GONE:
                raise
            raise RuntimeFailure("the sandbox is gone") from error
        give_up = time.monotonic() + FREEZE_WAIT_S
        pause_s = 0.0
        # There is no descriptor that asyncio could wait for: a change of cgroup.events shows as
        # POLLPRI. It takes some 0.1 ms, unless a process sits in the kernel.
        while not self.is_frozen and self.is_populated:
            if time.monotonic() > give_up:
                self.thaw()
                raise RuntimeFailure("the sandbox did not freeze in time", retryable=True)
            await asyncio.sleep(pause_s)
            pause_s = min(0.01, pause_s + 0.0005)

    def thaw(self) -> None:
        self._say("cgroup.freeze", "0")

    def kill(self) -> None:
        """SIGKILL to everything in it, frozen or not, also what forks meanwhile."""
        self._say("cgroup.kill", "1")

    def cpu_s(self) -> float:
        return int(_flat(self.path / "cpu.stat").get("usage_usec", "0")) / 1e6

    def memory_bytes(self) -> int:
        try:
            return int((self.path / "memory.current").read_text())
        except OSError:
            # Not what version 1 counts: without a limit there is no group there.
            return sum(resident_bytes(pid) for pid in self.pids())

    def saw_oom(self) -> bool:
        there = self.beside.memory if self.beside is not None else None
        if there is not None and there.saw_oom():
            return True
        return int(_flat(self.path / "memory.events").get("oom_kill", "0")) > 0

    def remove(self) -> bool:
        """False while something is still in it."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return self.beside is None or self.beside.remove()

    def _say(self, file: str, text: str) -> None:
        """To a group that may be gone, or go in this moment."""
        try:
            (self.path / file).write_text(text)
        except OSError as error:
            if error.errno not in _GONE:
                raise

    def _events(self) -> dict[str, str]:
        return _flat(self.path / "cgroup.events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Where our cgroups are made, and which controllers reach them."""

    base: Path
    controllers: frozenset[str]
    """Of either version."""
    beside: Mapping[str, Path] = field(default_factory=dict)
    """Controllers of version 1, and where groups of theirs are made."""

    def at(self, slug: str) -> Cgroup:
        groups = cgroups_v1.Groups(places=self.beside, slug=slug) if self.beside else None
        return Cgroup(path=self.base / slug, beside=groups)

    def with_version_1(self) -> "Tree":
        """With the limits that only version 1 has here."""
        found = {
            name: place for name, place in cgroups_v1.find().items() if name not in self.controllers
        }
        return replace(self, controllers=self.controllers | set(found), beside=found)

    def create(self, slug: str, resources: Resources) -> Cgroup:
        made = self.at(slug)
        made.path.mkdir(exist_ok=True)
        if made.beside is not None:
            made.beside.create(resources)
        limits = {
            ("memory", "memory.max"): resources.memory_bytes,
            # Swap would let a memory bomb live on at the disk's expense.
            ("memory", "memory.swap.max"): None if resources.memory_bytes is None else 0,
            ("pids", "pids.max"): resources.pids,
            ("cpu", "cpu.max"): None
            if resources.cpu is None
            else f"{cgroups_v1.quota_us(resources.cpu)} {cgroups_v1.CPU_PERIOD_US}",
        }
        for (controller, name), value in limits.items():
            if value is None or controller not in self.controllers or controller in self.beside:
                continue
            # memory.swap.max is missing where the kernel does not account swap.
            with contextlib.suppress(FileNotFoundError):
                (made.path / name).write_text(str(value))
        return made


def find_tree() -> Tree | None:
    """A place where we may make cgroups that freeze and kill; None where there is none."""
    mount = _mount_point()
    if mount is None:
        return None
    for base in _candidates(mount):
        with contextlib.suppress(OSError):
            base.mkdir(exist_ok=True)
            # Not root: a cgroup can be ours while moving a process there from where it is is not.
            probe = base / f"probe-{os.getpid()}"
            probe.mkdir(exist_ok=True)
            try:
                works = os.access(probe / "cgroup.kill", os.W_OK) and os.access(
                    base.parent / "cgroup.procs", os.W_OK
                )
            finally:
                probe.rmdir()
            if works:
                return Tree(base=base, controllers=_hand_down(base))
    return None


def _mount_point() -> Path | None:
    try:
        mounts = (PROC / "self" / "mounts").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in mounts if line.split()[2] == "cgroup2"]
    return Path(found[0]) if found else None


def _candidates(mount: Path) -> list[Path]:
    own = ""
    for line in (PROC / "self" / "cgroup").read_text().splitlines():
        if line.startswith("0::"):
            own = line[3:].lstrip("/")
    # Root may stand at the top, where handing down controllers is never refused because of the
    # processes beside us; others only below where they are.
    top = [mount / "rouse"] if os.geteuid() == 0 else []
    return [*top, mount / own / "rouse"]


def _hand_down(base: Path) -> frozenset[str]:
    for parent in (base.parent, base):
        for name in cgroups_v1.CONTROLLERS:
            # Refused where the parent has processes of its own, or lacks the controller.
            with contextlib.suppress(OSError):
                (parent / "cgroup.subtree_control").write_text(f"+{name}")
    try:
        enabled = (base / "cgroup.subtree_control").read_text().split()
    except OSError:
        enabled = []
    return frozenset(enabled) & frozenset(cgroups_v1.CONTROLLERS)


def resident_bytes(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _flat(path: Path) -> dict[str, str]:
    """A flat-keyed file of the kernel's: one `key value` a line; empty when it is not there."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(" ", 1) for line in lines)
