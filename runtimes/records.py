"""What a driver writes down of each sandbox, so that a later worker finds it or ends it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runtimes.base import Handle, SandboxSpec, path_in, path_out


class Record(msgspec.Struct, kw_only=True):
    """One sandbox, from before its first process until nothing of it is left. Holds no secret:
    neither the command nor the environment."""

    slug: str
    directory: Path
    log: Path
    log_limit: int
    roots: list[tuple[int, int]] = []
    """Pid and start time of every process the driver itself began; the rest descends from them."""
    spared: list[int] = []
    """Those among the roots that get no SIGTERM: they hold the sandbox, they are not the actor."""
    ports: list[int] = []
    """Ports of the machine that are reserved for it."""
    cgroup: str | None = None
    is_alone: bool = False
    """Its processes are those that the driver began (and what its cgroup holds): what descends from
    them is a sandbox of its own (a zygote's children)."""
    seat: str | None = None
    """Name of the seat it sits in (gvisor): what was made for it beside its own directory."""
    is_paused: bool = False
    """Its program is stopped by a call that no cgroup shows (gvisor, microvm)."""
    is_turning: bool = False
    """That call, or the one that ends it, was begun and has not been answered: how the program
    stands, nobody knows."""
    is_quiet: bool = False
    """While it is paused: nothing is under way between the guest and its files (microvm)."""
    handle: Handle | None = None
    """None until the start is complete: what has none can only be ended."""

    @classmethod
    def of(cls, spec: SandboxSpec) -> "Record":
        return cls(slug=spec.slug, directory=spec.directory, log=spec.log, log_limit=spec.log_limit)

    @property
    def fifo(self) -> Path:
        return self.directory / "output"


class Records:
    """The records of one driver, a file each."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, record: Record) -> None:
        """Add what is so now; the last whole line counts.

        A worker killed in the middle leaves the line before. Not a new file renamed over the old
        one: file systems flush such a file to the disk, which is most of a millisecond in every
        start, and guards against a power cut that no sandbox would survive.
        """
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = msgspec.json.encode(record, enc_hook=path_out) + b"\n"
        file = os.open(
            self._path(record.slug), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def read(self, slug: str) -> Record | None:
        """None when nothing was written down, or not one whole line: then nothing was begun."""
        try:
            lines = self._path(slug).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return None
        if not lines:
            return None
        return msgspec.json.decode(lines[-1], type=Record, dec_hook=path_in)

    def remove(self, slug: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(slug))

    def __iter__(self) -> Iterator[str]:
        """Slugs of all that are written down."""
        return iter(sorted(path.stem for path in self._root.glob("rouse-*.json")))

    def _path(self, slug: str) -> Path:
        return self._root / f"{slug}.json"
