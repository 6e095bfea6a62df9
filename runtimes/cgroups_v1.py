"""Limits by cgroup version 1, for machines that have controllers there and not in version 2.

Freezing and killing is version 2's everywhere; here is only what bounds memory, CPU and processes.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtimes.base import Resources
from runtimes.procfs import PROC

CONTROLLERS = ("cpu", "memory", "pids")
CPU_PERIOD_US = 100_000


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """Of one sandbox. Made, joined through `tasks` and removed beside its cgroup of version 2."""

    path: Path

    @property
    def tasks(self) -> Path:
        return self.path / "cgroup.procs"

    def create(self, limit_bytes: int | None) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if limit_bytes is not None:
            (self.path / "memory.limit_in_bytes").write_text(str(limit_bytes))
            # Swap would let a memory bomb live on; not there where the kernel does not count it.
            with contextlib.suppress(OSError):
                (self.path / "memory.memsw.limit_in_bytes").write_text(str(limit_bytes))

    def used_bytes(self) -> int | None:
        try:
            return int((self.path / "memory.usage_in_bytes").read_text())
        except (OSError, ValueError):
            return None

    def saw_oom(self) -> bool:
        try:
            lines = (self.path / "memory.oom_control").read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)

    def remove(self) -> bool:
        """False while something is still in it."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Of one sandbox: a group for each controller that limits something of it."""

    places: Mapping[str, Path]
    """By controller."""
    slug: str

    def create(self, resources: Resources) -> None:
        if (memory := self.memory) is not None and resources.memory_bytes is not None:
            memory.create(resources.memory_bytes)
        if resources.pids is not None:
            self._limit("pids", {"pids.max": resources.pids})
        if resources.cpu is not None:
            quota = {
                "cpu.cfs_period_us": CPU_PERIOD_US,
                "cpu.cfs_quota_us": quota_us(resources.cpu),
            }
            self._limit("cpu", quota)

    def join(self, pid: int) -> None:
        for path in self._paths():
            # Nothing limits it there, or it is gone.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                (path / "cgroup.procs").write_text(str(pid))

    def adopt(self, pid: int) -> None:
        """Join, and leave the group of the sandbox it was forked in also where nothing limits it
        here: it must not be counted there, nor keep that group."""
        for path in self._paths():
            place = path if path.exists() else path.parent
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                (place / "cgroup.procs").write_text(str(pid))

    @property
    def memory(self) -> MemoryGroup | None:
        place = self.places.get("memory")
        return None if place is None else MemoryGroup(place / self.slug)

    def remove(self) -> bool:
        """False while something is still in one of them."""
        return all(MemoryGroup(path).remove() for path in self._paths())

    def _paths(self) -> list[Path]:
        return [place / self.slug for place in self.places.values()]

    def _limit(self, controller: str, values: Mapping[str, int]) -> None:
        if (place := self.places.get(controller)) is None:
            return
        path = place / self.slug
        path.mkdir(parents=True, exist_ok=True)
        for name, value in values.items():
            (path / name).write_text(str(value))


def quota_us(cores: float) -> int:
    """Of each CPU_PERIOD_US."""
    return max(1_000, int(cores * CPU_PERIOD_US))


def find_memory() -> Path | None:
    """Where memory groups can be made; None where version 1 does not have the controller."""
    return find().get("memory")


def find() -> dict[str, Path]:
    """Where groups can be made, by controller; without those that version 1 does not have."""
    try:
        mounts = (PROC / "self" / "mounts").read_text().splitlines()
    except OSError:
        return {}
    found: dict[str, Path] = {}
    for fields in (line.split() for line in mounts):
        place = Path(fields[1])
        if fields[2] != "cgroup" or not os.access(place / "cgroup.procs", os.W_OK):
            continue
        for controller in set(fields[3].split(",")) & set(CONTROLLERS):
            found.setdefault(controller, place / "rouse")
    return found
