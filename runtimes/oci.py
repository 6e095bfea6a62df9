"""The OCI bundle of a gVisor sandbox, as plain data. Only decides.

All that differs between two copies of one template (durable directories, network, environment)
differs in nothing that gVisor compares when it restores an image.
"""

import resource
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes.view import TEMPORARY_BYTES, Shown

ABOUT = "/run/rouse"
"""Where an actor reads who it is, anew after each wake."""
HOSTNAME = "actor"
_LIMIT_NAMES = {
    resource.RLIMIT_CORE: "RLIMIT_CORE",
    resource.RLIMIT_DATA: "RLIMIT_DATA",
    resource.RLIMIT_NPROC: "RLIMIT_NPROC",
}
_OPEN_FILES = 65_536

Mount = dict[str, Any]


def mounts(
    shown: Iterable[Shown],
    durable: Mapping[str, Path],
    about: Path,
    memory_bytes: int | None,
) -> list[Mount]:
    """The system's, what is shown of the host, the actor's own; outer before inner."""
    size = min(memory_bytes or TEMPORARY_BYTES, TEMPORARY_BYTES)
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        *(_temporary(place, size) for place in ("/tmp", "/var/tmp", "/dev/shm")),
        *(mount for each in shown for mount in _shown(each)),
        _bind(about, ABOUT, "ro"),
        *(_bind(host, place, "rw") for place, host in durable.items()),
    ]


def config(
    *,
    root: Path,
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    user: int,
    mounts: list[Mount],
    netns: Path,
    limits: Mapping[int, int],
) -> dict[str, Any]:
    bounds = {_LIMIT_NAMES[number]: most for number, most in limits.items()}
    bounds["RLIMIT_NOFILE"] = _OPEN_FILES
    return {
        "ociVersion": "1.0.0",
        "hostname": HOSTNAME,
        "root": {"path": str(root), "readonly": False},
        "process": {
            "args": list(command),
            "env": [f"{name}={value}" for name, value in env.items()],
            "cwd": cwd,
            "user": {"uid": user, "gid": user},
            "noNewPrivileges": True,
            "capabilities": {},
            "rlimits": [
                {"type": name, "soft": most, "hard": most} for name, most in sorted(bounds.items())
            ],
        },
        "mounts": mounts,
        "linux": {
            "namespaces": [
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount")),
                {"type": "network", "path": str(netns)},
            ],
        },
    }


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What two configurations must share for one to take the other's image: all but sources."""
    process = {name: value for name, value in config["process"].items() if name != "env"}
    places = [
        {name: value for name, value in mount.items() if name != "source"}
        for mount in config["mounts"]
    ]
    return {"process": process, "mounts": places}


def _temporary(place: str, size: int) -> Mount:
    options = ["nosuid", "nodev", "mode=1777", f"size={size}"]
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}


def _shown(each: Shown) -> list[Mount]:
    covers = [
        {
            "destination": str(place),
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["ro", "mode=0700", "size=4096"],
        }
        for place in each.covered
    ]
    return [_bind(each.real, str(each.place), "ro"), *covers]


def _bind(host: Path, place: str, how: str) -> Mount:
    return {
        "destination": place,
        "type": "bind",
        "source": str(host),
        "options": ["bind", how, "nosuid", "nodev"],
    }
