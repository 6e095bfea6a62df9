"""A seat for one virtual machine: all that is made for it here, found again by its name alone.

Its directory, its cgroups, its network, its memory and its sockets. The directory is made first and
removed last, so whoever lists the directories can end what a dead worker left.
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtimes import procfs, tap
from runtimes.base import Resources, RuntimeFailure
from runtimes.cgroups import Cgroup, Tree
from runtimes.cgroups_v1 import MemoryGroup
from runtimes.logs import make_fifo, tail
from runtimes.procfs import Pid
from runtimes.spawn import in_thread, spawn
from runtimes.tap import Tap
from runtimes.vmm import Room

STATE = Path("/run/rouse/microvm")
"""Sockets, a short path. Others may pass through to a socket that they know, not look around."""
MEMORY = Path("/dev/shm")
OVERHEAD_BYTES = 192 << 20
"""What a monitor and an attendant take beside their guest's memory, at the most."""
FIRST_USER = 0x7000_0000
"""Of the monitors, each machine's another: above those that systems give out."""
END_WAIT_S = 10.0
_TOLD_BYTES = 500
# The program joins its cgroups by itself before anything else of it runs, so that no child is
# forgotten and the memory that is copied counts as its guest's.
_BEGIN = (
    'IFS=:; for group in $0; do echo 0 >"$group" || exit 1; done; '
    'if [ -n "$1" ]; then cp --sparse=always "$1" "$2" || exit 1; fi; shift 2; exec "$@"'
)
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSeats:
    """Where the seats of one driver are. Two drivers of one machine do not meet."""

    root: Path
    tree: Tree
    memory: Path | None = None
    """Where memory is limited, if not by `tree` (cgroup version 1)."""

    @property
    def mark(self) -> str:
        return hashlib.blake2b(os.fsencode(os.path.realpath(self.root)), digest_size=4).hexdigest()

    @property
    def directory(self) -> Path:
        return self.root / "seats"

    def new(self) -> "VmSeat":
        return self.at(secrets.token_hex(4))

    def at(self, name: str) -> "VmSeat":
        return VmSeat(seats=self, name=name, whole_name=f"rouse-vm-{self.mark}-{name}")

    def names(self) -> list[str]:
        """Of all seats that there are, half made ones too."""
        try:
            return sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSeat:
    seats: VmSeats
    name: str
    whole_name: str
    """Of its cgroup, its network and its memory: there are others' beside them."""

    @property
    def directory(self) -> Path:
        return self.seats.directory / self.name

    @property
    def fifo(self) -> Path:
        return self.directory / "output"

    @property
    def exited(self) -> Path:
        return self.directory / "exited"

    @property
    def control(self) -> Path:
        return self.run / "files"

    @property
    def run(self) -> Path:
        return STATE / self.whole_name

    @property
    def memory_file(self) -> Path:
        return MEMORY / self.whole_name

    @property
    def tap(self) -> Tap:
        return Tap(self.whole_name)

    @property
    def user(self) -> int:
        """The monitor's: one that got out of its guest finds no other machine's memory its own."""
        return FIRST_USER + (int(self.name, 16) & 0x0FFF_FFFF)

    @property
    def room(self) -> Room:
        return Room(
            run=self.run,
            name=str(self.directory),
            memory_file=self.memory_file,
            tap=self.tap,
            user=self.user,
        )

    @property
    def cgroup(self) -> Cgroup:
        return self.seats.tree.at(self.whole_name)

    @property
    def memory(self) -> MemoryGroup | None:
        place = self.seats.memory
        return None if place is None else MemoryGroup(place / self.whole_name)

    def used_bytes(self) -> int:
        used = self.memory.used_bytes() if self.memory is not None else None
        return self.cgroup.memory_bytes() if used is None else used

    def saw_oom(self) -> bool:
        return self.cgroup.saw_oom() or (self.memory is not None and self.memory.saw_oom())

    def lay(self, guest_bytes: int, resources: Resources) -> None:
        """All but what runs in it. Blocks some 20 ms."""
        self.directory.mkdir(mode=0o700, parents=True)
        STATE.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o711)
        make_fifo(self.fifo)
        bounds = Resources(memory_bytes=guest_bytes + OVERHEAD_BYTES, cpu=resources.cpu)
        self.seats.tree.create(self.whole_name, bounds)
        if self.memory is not None:
            self.memory.create(bounds.memory_bytes)
        tap.make(self.tap)

    async def launch(
        self, command: Sequence[str], files: Sequence[int], copied: Path | None
    ) -> Pid:
        """Begin the monitor, as a user without rights in the machine's own network."""
        apart = (
            *("nsenter", f"--net={self.tap.path}", "--no-fork", "setpriv"),
            *("--reuid", str(self.user), "--regid", str(self.user), "--clear-groups"),
            *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
        )
        return await in_thread(lambda: self._begin([*apart, *command], files, copied))

    def attend(self, orders: Mapping[str, Any]) -> Pid:
        """Begin the attendant. The orders have paths in them, and no secret."""
        program = Path(__file__).with_name("attendant.py")
        given = os.memfd_create("rouse-orders", os.MFD_CLOEXEC)
        try:
            os.write(given, json.dumps(orders).encode())
            os.lseek(given, 0, os.SEEK_SET)
            command = [sys.executable, "-S", "-E", str(program), str(given), str(self.directory)]
            return self._begin(command, [given], None)
        finally:
            os.close(given)

    def said(self) -> str:
        """The last that the monitor or the attendant complained of."""
        return tail(self.directory / "said", _TOLD_BYTES).decode(errors="replace").strip()

    def kill(self) -> bool:
        """SIGKILL to all of it; True while something is left."""
        self.cgroup.kill()
        return self.cgroup.is_populated

    def remove(self) -> None:
        """All of it, dead or alive. Done twice is done once. Raises RuntimeFailure. Blocks."""
        give_up = time.monotonic() + END_WAIT_S
        pause_s = 0.001
        while self.kill() or not (self.cgroup.remove() and self._is_unlimited()):
            if time.monotonic() > give_up:
                raise RuntimeFailure(f"machine {self.name} does not end", retryable=True)
            time.sleep(pause_s)
            pause_s = min(0.05, pause_s * 2)
        tap.remove(self.tap)
        self.memory_file.unlink(missing_ok=True)
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _begin(self, command: Sequence[str], files: Sequence[int], copied: Path | None) -> Pid:
        groups = [str(self.cgroup.path / "cgroup.procs")]
        if self.memory is not None:
            groups.append(str(self.memory.tasks))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        said = os.open(self.directory / "said", flags, 0o600)
        try:
            line = ["sh", "-c", _BEGIN, ":".join(groups), str(copied or ""), str(self.memory_file)]
            return procfs.identify(
                spawn([*line, *command], env=_PATH, cwd=Path("/"), output=said, keep=files)
            )
        finally:
            os.close(said)

    def _is_unlimited(self) -> bool:
        """Its memory group is gone."""
        return self.memory is None or self.memory.remove()


def ask_files(control: Path, limit_s: float) -> dict[str, Any]:
    """What an image must hold of the files that the attendant serves. Raises OSError. Blocks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(limit_s)
        asker.connect(str(control))
        told = b""
        while chunk := asker.recv(1 << 18):
            told += chunk
    found: dict[str, Any] = json.loads(told)
    return found


def reap(processes: Iterable[Pid]) -> None:
    """Of ours that nobody watched: they would stay zombies."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def read_exit(place: Path) -> dict[str, Any]:
    """As the guest told it; empty when it did not."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(place.read_bytes()[:4096])
        if isinstance(told, dict):
            return told
    return {}
