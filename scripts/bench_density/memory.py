"""What the kernel says that a worker's actors cost."""

import contextlib
from pathlib import Path

from tests.system.product import Process, sandboxes

CGROUPS = Path("/sys/fs/cgroup")


def charged_bytes(worker: Process) -> int:
    """Of all its actors: their cgroups' charge where memory is counted there, which is all that is
    made for them, else each process with its share of what it shares."""
    groups: dict[Path, int] = {}
    alone = 0
    for pid in sandboxes(worker):
        if pid == worker.pid:
            continue
        if (group := _group(pid)) is not None:
            groups[group] = _charge(group)
        else:
            alone += _proportional(pid)
    return sum(groups.values()) + alone


def _group(pid: int) -> Path | None:
    """Where the memory of an actor's process is counted: a cgroup of that actor's own."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "rouse-" not in path:
                continue
            for place in (CGROUPS / "memory", CGROUPS, CGROUPS / "unified"):
                group = place / path.lstrip("/")
                if _file(group) is not None and controllers in ("memory", ""):
                    return group
    return None


def _file(group: Path) -> Path | None:
    for name in ("memory.current", "memory.usage_in_bytes"):
        if (group / name).exists():
            return group / name
    return None


def _charge(group: Path) -> int:
    file = _file(group)
    assert file is not None
    return int(file.read_text())


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def stored_bytes(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
