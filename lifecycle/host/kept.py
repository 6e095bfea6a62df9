"""Durable directories as a snapshot left them, kept on this worker so that the next wake fetches
nothing. A cache (R13): bounded in bytes, oldest first; the snapshot in the store is the truth.

Used from threads. An entry is whole or not there: it gets another name before its files go, so that
neither a take beside it nor a start after a crash finds what is half removed (P6). Nothing of it is
flushed to the disk, so nothing outlives the machine's boot: after a power cut files may be empty
that the snapshot has.
"""

import shutil
import threading
from collections import OrderedDict
from pathlib import Path

from lifecycle.host.places import boot_id
from placement.model import new_uid

_GONE = ".gone-"
_PART = 240
"""Longest name of an entry: `<uid>~<snapshot>`."""


class Kept:
    """One entry per actor. Entries of an earlier start are found again; their size is measured."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory / boot_id()
        self._limit = limit_bytes
        self._entries: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            if path != self._directory:
                shutil.rmtree(path, ignore_errors=True)
        for path in sorted(self._directory.iterdir(), key=lambda p: p.stat().st_mtime):
            if path.name.startswith(_GONE):
                shutil.rmtree(path, ignore_errors=True)
                continue
            uid, _, snapshot = path.name.partition("~")
            self.forget(uid)
            self._note(uid, snapshot, _size(path))

    def __repr__(self) -> str:
        return f"<Kept {len(self._entries)} actors, {self._bytes} of {self._limit} bytes>"

    def put(self, uid: str, snapshot: str, files: Path, size: int) -> None:
        """Take `files` (the parent of an actor's durable directories) away into the cache."""
        with self._lock:
            gone = [self._set_aside(uid)]
            if size <= self._limit and files.exists():
                files.rename(self._path(uid, snapshot))
                self._note(uid, snapshot, size)
            while self._bytes > self._limit:
                gone.append(self._set_aside(next(iter(self._entries))))
        _remove(gone)

    def has_room(self, uid: str, size: int) -> bool:
        """Would `put` remove no files for it?"""
        with self._lock:
            return uid not in self._entries and self._bytes + size <= self._limit

    def take(self, uid: str, snapshot: str, names: frozenset[str], into: Path) -> bool:
        """Move the files of this very snapshot to `into`; False when they are not here.

        `names`: the directories that the actor now has. Where one is kept that it no longer has,
        the store is left to refuse: dropping it here would lose it with the next snapshot.
        """
        with self._lock:
            held = self._entries.get(uid)
            if held is None or held[0] != snapshot:
                return False
            path = self._path(uid, snapshot)
            try:
                if not {each.name for each in path.iterdir()} <= names:
                    return False
                # Moved, not copied: from now on the files are the actor's and no cache any more.
                path.rename(into)
            except FileNotFoundError:
                self._drop(uid)  # somebody cleaned up: the store has it
                return False
            self._drop(uid)
            return True

    def forget(self, uid: str) -> None:
        with self._lock:
            gone = self._set_aside(uid)
        _remove([gone])

    def _set_aside(self, uid: str) -> Path | None:
        held = self._drop(uid)
        if held is None:
            return None
        aside = self._directory / f"{_GONE}{new_uid()}"
        try:
            self._path(uid, held[0]).rename(aside)
        except FileNotFoundError:
            return None
        return aside

    def _note(self, uid: str, snapshot: str, size: int) -> None:
        self._entries[uid] = (snapshot, size)
        self._bytes += size

    def _drop(self, uid: str) -> tuple[str, int] | None:
        held = self._entries.pop(uid, None)
        if held is not None:
            self._bytes -= held[1]
        return held

    def _path(self, uid: str, snapshot: str) -> Path:
        name = f"{uid}~{snapshot}"
        if "/" in name or len(name) > _PART or uid.startswith("."):
            raise ValueError(f"{name[:80]!r} cannot be a file name")
        return self._directory / name


def _remove(gone: list[Path | None]) -> None:
    for path in gone:
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)


def _size(path: Path) -> int:
    return sum(each.lstat().st_size for each in path.rglob("*"))
