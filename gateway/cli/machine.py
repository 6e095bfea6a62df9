"""What this machine has, looked at without starting anything: servers, ports, limits, directories.

Each look gives findings; what is missing comes with what to do about it.
"""

import asyncio
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import msgspec

from gateway import places

FEWEST_FILES = 4096
"""Open files: an actor at work takes about four, a client two."""
LEAST_FREE_BYTES = 2**30
PORTS = {8080: "requests to actors", 8081: "the admin API"}


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, with less than one would want."""
    MISSING = "missing"
    """`rouse up` cannot run."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def python() -> Finding:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.release()}"
    return Finding(check="python", verdict=Verdict.OK, found=found)


def relay() -> Finding:
    """Is what every request passes compiled?"""
    found = find_spec("gateway.ingress.exchange")
    if found is not None and found.origin is not None and not found.origin.endswith(".py"):
        return Finding(check="relay", verdict=Verdict.OK, found="compiled")
    return Finding(
        check="relay",
        verdict=Verdict.WARN,
        found="interpreted: it carries a third fewer requests",
        remedy="pip install rouse where a C compiler is (an editable install stays as it is)",
    )


def table_server() -> Finding:
    from placement.errors import ServerFailed
    from placement.server import server_binary

    try:
        path, origin = server_binary()
    except ServerFailed as error:
        what, _colon, remedy = str(error).partition(": ")
        return Finding(check="redis", verdict=Verdict.MISSING, found=what, remedy=remedy)
    return Finding(check="redis", verdict=Verdict.OK, found=f"{origin} ({path})")


def data_directory(environ: Mapping[str, str]) -> Finding:
    directory = places.data_dir(environ)
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            check="data directory",
            verdict=Verdict.MISSING,
            found=f"{directory} cannot be written",
            remedy="choose another with --data or ROUSE_DATA_DIR",
        )
    free = shutil.disk_usage(existing).free
    found = f"{directory}, {free / 2**30:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        remedy = "free some space, or choose another disk with --data"
        return Finding(check="data directory", verdict=Verdict.WARN, found=found, remedy=remedy)
    return Finding(check="data directory", verdict=Verdict.OK, found=found)


def port(number: int, purpose: str) -> Finding:
    check = f"port {number}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return Finding(
                check=check,
                verdict=Verdict.WARN,
                found=f"not free: {error.strerror}",
                remedy=f"`rouse up` takes another one for {purpose} and says which",
            )
    return Finding(check=check, verdict=Verdict.OK, found=f"free for {purpose}")


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{_limit(soft)} open files, {_limit(hard)} at most"
    if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
        remedy = f"raise it before the start: ulimit -n {min(hard, 65536) if hard > 0 else 65536}"
        return Finding(check="open files", verdict=Verdict.WARN, found=found, remedy=remedy)
    return Finding(check="open files", verdict=Verdict.OK, found=found)


def control_groups() -> Finding:
    """Is there a cgroup v2 tree that we may make groups in, and who has the controllers?"""
    from runtimes.cgroups_v1 import find

    for mount in _cgroup2_mounts():
        if os.access(mount, os.W_OK):
            controllers = (mount / "cgroup.controllers").read_text().split()
            older = [name for name in sorted(find()) if name not in controllers]
            wanted = sorted({"cpu", "memory", "pids"} - {*controllers, *older})
            if not wanted:
                found = f"{mount} is ours to write, with cpu, memory and pids"
                found += f" ({', '.join(older)} by version 1)" if older else ""
                return Finding(check="cgroups", verdict=Verdict.OK, found=found)
            return Finding(
                check="cgroups",
                verdict=Verdict.WARN,
                found=f"{mount} can freeze and kill, but has no {', '.join(wanted)} controller",
                remedy="limits of memory and processes are kept by rlimits, cpu shares are not",
            )
    return Finding(
        check="cgroups",
        verdict=Verdict.WARN,
        found="no cgroup v2 tree that this user may write",
        remedy="run under `systemd-run --user --scope -p Delegate=yes`; without, actors are frozen "
        "by signals and limited by rlimits",
    )


def user_namespaces() -> Finding:
    check = "user namespaces"
    if os.geteuid() == 0:
        return Finding(check=check, verdict=Verdict.OK, found="root needs none")
    for path, off, knob in (
        ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        try:
            value = Path(path).read_text().strip()
        except OSError:
            continue
        if value == off:
            return Finding(
                check=check,
                verdict=Verdict.WARN,
                found=f"not for this user ({path} is {value})",
                remedy=f"sudo sysctl {knob}; without, only the process runtime works",
            )
    return Finding(check=check, verdict=Verdict.OK, found="allowed for this user")


def host_names() -> Finding:
    name = "c1.demo.actors.localhost"
    try:
        found = socket.getaddrinfo(name, None)[0][4][0]
    except OSError:
        return Finding(
            check="names",
            verdict=Verdict.WARN,
            found=f"{name} is not resolved here",
            remedy="browsers and curl know .localhost by themselves; others send the Host header",
        )
    return Finding(check="names", verdict=Verdict.OK, found=f"{name} is {found}")


def runtimes() -> list[Finding]:
    """Each runtime class tried for real, in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="rouse-doctor-") as directory:
        return asyncio.run(_try_runtimes(Path(directory)))


async def _try_runtimes(root: Path) -> list[Finding]:
    from runtimes.registry import survey

    findings = []
    for kind, driver in (await survey(root)).items():
        check, mark = f"runtime {kind}", await driver.fingerprint()
        if mark.works:
            keeps = "; ".join(driver.capabilities().keeps)
            found = f"{mark.version}, keeps: {keeps}" if keeps else mark.version
            findings.append(Finding(check=check, verdict=Verdict.OK, found=found or "works"))
        else:
            findings.append(Finding(check=check, verdict=Verdict.WARN, found=mark.why_not))
    if all(finding.verdict is not Verdict.OK for finding in findings):
        remedy = "see above; rouse runs on Linux and macOS"
        findings.append(
            Finding(
                check="runtimes",
                verdict=Verdict.MISSING,
                found="none works here",
                remedy=remedy,
            )
        )
    return findings


def can_run(findings: Sequence[Finding]) -> bool:
    return all(finding.verdict is not Verdict.MISSING for finding in findings)


def look(environ: Mapping[str, str]) -> list[Finding]:
    """Everything, in the order that a person would mend it."""
    findings = [python(), relay(), table_server(), data_directory(environ)]
    findings += runtimes()
    if sys.platform == "linux":
        findings += [control_groups(), user_namespaces()]
    findings += [open_files(), *(port(each, what) for each, what in PORTS.items()), host_names()]
    return findings


def _cgroup2_mounts() -> list[Path]:
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines]
    return [Path(each[1]) for each in fields if len(each) > 2 and each[2] == "cgroup2"]


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)
