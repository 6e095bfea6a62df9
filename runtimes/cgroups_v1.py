"""The memory controller of cgroup version 1, for machines that have it there and not in version 2.

Only what gVisor's sandboxes need: no limit inside them bounds the memory of the whole.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from runtimes.procfs import PROC


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


def find_memory() -> Path | None:
    """Where memory groups can be made; None where version 1 does not have the controller."""
    try:
        mounts = (PROC / "self" / "mounts").read_text().splitlines()
    except OSError:
        return None
    for fields in (line.split() for line in mounts):
        if fields[2] == "cgroup" and "memory" in fields[3].split(","):
            place = Path(fields[1])
            if os.access(place / "cgroup.procs", os.W_OK):
                return place / "rouse"
    return None
