"""Where a worker keeps things on its disk, so that a dead one's leavings can be told apart.

<root>/lock                      held (flock) while a worker of this directory runs
<root>/id, <root>/incarnation    who it is, and who it was at the last start
<root>/copies/<uid>-<epoch>/     one running copy: `note.json` (a line at each change), `sandbox/`,
                                 `durable/<path>/` and, around a snapshot, `durable/image/`
<root>/kept/<uid>-<snapshot>/    what was in `durable` as a snapshot left it: a cache
<root>/golden/<boot>/<random>/   what a golden holds, unpacked (host.golden): a cache
<root>/images/<digest>/          an OCI image, unpacked (runtimes.roots): a cache
<root>/logs/<uid>.log            stdout and stderr of an actor, bounded
"""

import fcntl
import os
import re
import shutil
from functools import cache
from pathlib import Path
from urllib.parse import quote

import msgspec

from placement.model import ActorId, ActorRecord, check_label, new_uid
from runtimes.base import Handle, path_in, path_out

IMAGE = "image"
"""Among a copy's durable directories, whose names all begin with a quoted slash."""
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,200}")


class DirectoryInUse(Exception):
    """Another worker runs on this directory."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy leaves about itself before it claims: enough to find it after kill -9."""

    actor: ActorId
    uid: str = ""
    epoch: int = 0
    template: str = ""
    durable: tuple[str, ...] = ()
    """Declared paths; each has a directory below `durable/`, named by the path, quoted."""
    handle: Handle | None = None
    claimants: tuple[str, ...] = ()
    """Incarnations in which this worker tried to claim the next epoch for this very copy, with an
    answer that was not known when the note was written."""
    boot: str = ""
    """The machine's boot it was made in. Nothing of a running copy is flushed to the disk, so after
    another boot its files may be torn; empty: not known, taken for this one."""
    terms: dict[str, tuple[str, ...]] = {}
    """What an image of this copy needs where it goes on; empty: there will be none."""
    was_ready: bool = False
    """It was claimed anew after it had served: its files are whole, whatever the record's state."""

    def is_of(self, record: ActorRecord, worker: str) -> bool:
        """Is this the copy that the record says `worker` owns?"""
        if not record.is_owned or (record.uid, record.worker) != (self.uid, worker):
            return False
        if record.epoch == self.epoch:
            return True
        return record.epoch == self.epoch + 1 and record.incarnation in self.claimants


@cache
def boot_id() -> str:
    """A name for this boot of the machine; where it tells none, for this start alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return new_uid()


class Places:
    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("copies", "logs", "sandboxes"):
            (root / name).mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        self._copies, self._logs = root / "copies", root / "logs"
        self._lock: int | None = None

    def lock(self) -> None:
        """Take the directory for this process's life. Raises DirectoryInUse.

        The kernel lets go of it when the process dies, however it dies: who holds the lock knows
        that its predecessor serves nothing any more.
        """
        fd = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise DirectoryInUse(f"another worker runs on {self.root}") from error
        self._lock = fd

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def worker_id(self, wanted: str | None) -> str:
        """The id kept here, made at the first start; `wanted` replaces it."""
        path = self.root / "id"
        kept = path.read_text().strip() if path.exists() else ""
        chosen = check_label(wanted or kept or f"w-{new_uid()[:8]}", "worker id")
        if chosen != kept:
            path.write_text(chosen)
        return chosen

    def last_incarnation(self) -> str | None:
        path = self.root / "incarnation"
        return path.read_text().strip() or None if path.exists() else None

    def remember_incarnation(self, incarnation: str) -> None:
        """Before it registers: a start after a crash must know whom to retire."""
        beside = self.root / "incarnation.new"
        beside.write_text(incarnation)
        beside.rename(self.root / "incarnation")

    def log(self, uid: str) -> Path:
        return self._logs / f"{_checked(uid)}.log"

    def copy(self, uid: str, epoch: int) -> "Copy":
        return Copy(self._copies / f"{_checked(uid)}-{epoch}")

    def copies(self) -> "list[tuple[Copy, Note]]":
        """What earlier starts left. A copy without a readable note never ran: it is removed."""
        found = []
        for path in sorted(self._copies.iterdir()):
            copy = Copy(path)
            note = copy.note()
            if note is None:
                copy.remove()
            else:
                found.append((copy, note))
        return found


class Copy:
    """The directory of one running copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path / "note.json"
        self.sandbox = path / "sandbox"
        self.durable = path / "durable"
        self.image = self.durable / IMAGE

    def make(self, note: Note) -> None:
        try:
            self.path.mkdir()
        except FileExistsError:
            shutil.rmtree(self.path)
            self.path.mkdir()
        self.sandbox.mkdir()
        self.write(note)

    def write(self, note: Note) -> None:
        """Add a line; the last whole one counts. A file renamed over the old one would be flushed
        to the disk, which is milliseconds in every wake."""
        # The line's end comes first: after a line that a kill cut short the next one is whole.
        line = b"\n" + msgspec.json.encode(note, enc_hook=path_out)
        fd = os.open(self._note, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while line:
                line = line[os.write(fd, line) :]
        finally:
            os.close(fd)

    def note(self) -> Note | None:
        try:
            lines = self._note.read_bytes().split(b"\n")
        except OSError:
            return None
        for line in reversed(lines):
            try:
                return msgspec.json.decode(line, type=Note, dec_hook=path_in)
            except msgspec.DecodeError:
                continue  # cut short
        return None

    @staticmethod
    def names(durable: tuple[str, ...]) -> frozenset[str]:
        """What the directories of these declared paths are called, and an image's."""
        return frozenset((IMAGE, *(quote(path, safe="") for path in durable)))

    def directories(self, durable: tuple[str, ...]) -> dict[str, Path]:
        return {path: self.durable / quote(path, safe="") for path in durable}

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def _checked(part: str) -> str:
    if _SAFE.fullmatch(part) is None:
        raise ValueError(f"{part[:80]!r} cannot be part of a file name")
    return part
