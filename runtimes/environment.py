"""The environment of an actor's program: what its template says and what a driver adds."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtimes.base import RuntimeFailure, SandboxSpec
from runtimes.spawn import find_program

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


WRITABLE_INSIDE = ("/tmp", "/var/tmp", "/dev/shm")
"""In a sandbox, beside its durable directories."""


def search_path() -> str:
    """PATH where a template says none: `python3` is the Python that runs rouse, so that a
    template's command finds the packages installed beside it."""
    return os.pathsep.join([str(Path(sys.executable).parent), SYSTEM_PATH])


def compose(
    *,
    actor: str,
    given: Mapping[str, str],
    ports: Mapping[str, int],
    data: Sequence[str],
    home: str,
    temporary: str,
) -> dict[str, str]:
    """PORT is the main port, PORT_<NAME> each one; ROUSE_DATA is where the first durable directory
    is seen, ROUSE_DATA_2 the second, and so on in the template's order. A template may say its own
    HOME, PATH, LANG and TMPDIR, but not these."""
    env = {
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": search_path(),
        "TMPDIR": temporary,
        **given,
        "ROUSE_ACTOR": actor,
    }
    for number, path in enumerate(data, start=1):
        env["ROUSE_DATA" if number == 1 else f"ROUSE_DATA_{number}"] = path
    for name, port in ports.items():
        env["PORT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())] = str(port)
    if ports:
        env["PORT"] = str(next(iter(ports.values())))
    return env


def check_program(spec: SandboxSpec, path: str) -> None:
    """Say at once what else would only be found in the log. What is visible in a sandbox stands at
    the same path outside, except where the actor itself may write."""
    if spec.root is not None:
        return  # its links are for a look from inside
    name = spec.command[0]
    if name.startswith((*spec.durable, *WRITABLE_INSIDE)):
        return
    if "/" in name and spec.working_dir is not None:
        name = str(spec.working_dir / name)
    if find_program(name, path) is None:
        raise RuntimeFailure(f"cannot start {spec.command[0]!r}: no such program")
