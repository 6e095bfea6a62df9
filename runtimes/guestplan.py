"""What a guest is to run and to see, in the words of its first process. Only decides.

The same view as the other classes give: the host's system and what the template names, read-only;
the durable directories; everything else is the guest's own memory.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from runtimes import limits, rootfs, view
from runtimes.base import SandboxSpec
from runtimes.environment import compose

GUEST_BYTES = 64 << 20
"""Of a guest's memory, beside its actor's: its kernel and first process."""
DEFAULT_BYTES = 256 << 20
"""Where the template says no limit of memory; only what is touched is taken."""
STANDARD_BYTES = DEFAULT_BYTES + GUEST_BYTES
_STEP_BYTES = 2 << 20


class Shared(NamedTuple):
    """A directory of the host, and where the guest sees it."""

    real: Path
    place: str
    may_write: bool = False


def memory_bytes(spec: SandboxSpec) -> int:
    wanted = (spec.resources.memory_bytes or DEFAULT_BYTES) + GUEST_BYTES
    return -(-wanted // _STEP_BYTES) * _STEP_BYTES


def shown(spec: SandboxSpec, hidden: Sequence[Path]) -> list[view.Shown]:
    places = [*view.python(), *spec.read_only]
    if spec.working_dir is not None:
        places.append(spec.working_dir)
    return view.shown(places, [*hidden, spec.directory.parent])


def shares(spec: SandboxSpec, base: Path, seen: Sequence[view.Shown]) -> list[Shared]:
    """Outer before inner. An image knows them by their number in this list."""
    return [
        Shared(base / "etc", "/etc"),
        *(Shared(path, str(path)) for path in rootfs.directories()),
        *(Shared(each.real, str(each.place)) for each in seen),
        *(Shared(path, str(path)) for path in spec.shown),
        *(Shared(path, declared, may_write=True) for declared, path in spec.durable.items()),
    ]


def plan(
    spec: SandboxSpec,
    env: Mapping[str, str],
    shared: Sequence[Shared],
    seen: Sequence[view.Shown],
) -> dict[str, Any]:
    bounds = limits.wanted(spec.resources, own_user=True, memory=False)
    return {
        "command": list(spec.command),
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": str(spec.working_dir or next(iter(spec.durable), "/tmp")),
        "user": rootfs.USER,
        "links": rootfs.links(),
        "mounts": [
            {"source": str(number), "place": each.place, "write": each.may_write}
            for number, each in enumerate(shared)
        ],
        "covered": [str(path) for each in seen for path in each.covered],
        "scratch": min(spec.resources.memory_bytes or DEFAULT_BYTES, view.TEMPORARY_BYTES),
        "limits": {str(number): most for number, most in bounds.items()},
    }


def about(spec: SandboxSpec, env: Mapping[str, str]) -> dict[str, Any]:
    """Who the actor is now: what a program that was restored finds nowhere else anew."""
    return {"actor": spec.actor, "uid": spec.uid, "epoch": spec.epoch, "env": dict(env)}


def environment(spec: SandboxSpec) -> dict[str, str]:
    data = list(spec.durable)
    return compose(
        actor=spec.actor,
        # Nothing from outside reaches its loopback, and many programs ask HOST where to listen.
        given={"HOST": "0.0.0.0", **spec.env},
        ports=spec.ports,
        data=data,
        home=data[0] if data else "/tmp",
        temporary="/tmp",
    )
