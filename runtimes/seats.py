"""A seat: all that is made on this machine for one gVisor sandbox, found again by its name alone.

Its directory (bundle, output), its cgroup, its network, and runsc's own state. The directory is
made first and removed last, so whoever lists the directories can end what a dead worker left.
"""

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from runtimes import netpair, procfs, runsc
from runtimes.base import Resources, RuntimeFailure
from runtimes.cgroups import Cgroup, Tree
from runtimes.cgroups_v1 import MemoryGroup
from runtimes.logs import make_fifo, open_for_actor
from runtimes.netpair import Pair
from runtimes.procfs import Pid

STATE = Path("/run/rouse/runsc")
"""Of runsc: a short path, for its control sockets are in it, and one for all of the machine, for it
keeps a network namespace there that nobody is in. Only its owner may enter."""
OVERHEAD_BYTES = 128 << 20
"""What a sandbox itself takes beside its actor's memory, at the most."""
END_WAIT_S = 10.0
_FLAGS = (
    "--network=sandbox",
    "--platform=systrap",
    "--overlay2=root:memory",
    "--ignore-cgroups",
    "--host-settings=ignore",
    "--log-format=json",
)
# The program joins its cgroups by itself before anything else of it runs: no child is forgotten.
_JOIN = 'IFS=:; for group in $0; do echo 0 >"$group" || exit 1; done; exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """Where the seats of one driver are. Two drivers of one machine do not meet."""

    root: Path
    program: Path
    tree: Tree
    memory: Path | None = None
    """Where memory is limited, if not by `tree` (cgroup version 1)."""

    @property
    def mark(self) -> str:
        return hashlib.blake2b(os.fsencode(os.path.realpath(self.root)), digest_size=4).hexdigest()

    @property
    def directory(self) -> Path:
        return self.root / "seats"

    def new(self) -> "Seat":
        return self.at(secrets.token_hex(4))

    def at(self, name: str) -> "Seat":
        return Seat(seats=self, name=name)

    def names(self) -> list[str]:
        """Of all seats that there are, half made ones too."""
        try:
            return sorted(os.listdir(self.directory))
        except FileNotFoundError:
            return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    seats: Seats
    name: str

    @property
    def directory(self) -> Path:
        return self.seats.directory / self.name

    @property
    def about(self) -> Path:
        return self.directory / "about"

    @property
    def fifo(self) -> Path:
        return self.directory / "output"

    @property
    def log(self) -> Path:
        return self.directory / "runsc.log"

    @property
    def control(self) -> Path:
        return STATE / f"runsc-{self.container}.sock"

    @property
    def container(self) -> str:
        """What runsc calls it."""
        return self.pair.name

    @property
    def pair(self) -> Pair:
        return Pair(f"rouse-{self.seats.mark}-{self.name}")

    @property
    def cgroup(self) -> Cgroup:
        return self.seats.tree.at(self.pair.name)

    @property
    def memory(self) -> MemoryGroup | None:
        place = self.seats.memory
        return None if place is None else MemoryGroup(place / self.pair.name)

    def used_bytes(self) -> int:
        used = self.memory.used_bytes() if self.memory is not None else None
        return self.cgroup.memory_bytes() if used is None else used

    def saw_oom(self) -> bool:
        return self.cgroup.saw_oom() or (self.memory is not None and self.memory.saw_oom())

    def lay(self) -> None:
        """Directory and network: what needs to know nothing of an actor. Blocks."""
        self.directory.mkdir(mode=0o700, parents=True)
        self.about.mkdir(mode=0o755)
        make_fifo(self.fifo)
        netpair.make(self.pair)

    def create(self, config: Mapping[str, Any], resources: Resources) -> Pid:
        """A sandbox in which nothing runs yet; its process. Blocks some 70 ms."""
        (self.directory / "config.json").write_bytes(msgspec.json.encode(config))
        STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
        bounds = _around(resources)
        groups = [str(self.seats.tree.create(self.pair.name, bounds).path / "cgroup.procs")]
        if self.memory is not None:
            self.memory.create(bounds.memory_bytes)
            groups.append(str(self.memory.tasks))
        output = open_for_actor(self.fifo)
        try:
            self._run(
                ["sh", "-c", _JOIN, ":".join(groups)],
                ["create", "--bundle", self.directory, "--pid-file", self.directory / "pid"],
                output,
            )
        finally:
            os.close(output)
        return procfs.identify(int((self.directory / "pid").read_text()))

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
                raise RuntimeFailure(f"sandbox {self.name} does not end", retryable=True)
            time.sleep(pause_s)
            pause_s = min(0.05, pause_s * 2)
        netpair.remove(self.pair)
        for path in STATE.glob(f"*{self.container}*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _is_unlimited(self) -> bool:
        """Its memory group is gone."""
        return self.memory is None or self.memory.remove()

    def _run(self, before: Sequence[str | Path], words: Sequence[str | Path], output: int) -> None:
        line: list[str | Path] = [self.seats.program, "--root", STATE, "--log", self.log, *_FLAGS]
        status = runsc.run([*before, *line, *words, self.container], output)
        if status != 0:
            why = runsc.last_error(self.log) or f"status {status}"
            raise RuntimeFailure(f"runsc {words[0]}: {why}")


def _around(resources: Resources) -> Resources:
    """Limits of the whole sandbox. Its threads are no measure of the actor's processes."""
    memory = resources.memory_bytes
    return Resources(
        memory_bytes=None if memory is None else memory + OVERHEAD_BYTES, cpu=resources.cpu
    )
