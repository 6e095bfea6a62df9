"""LocalStore: objects as files below one directory, each there whole and on the disk, or not."""

import asyncio
import errno
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from lifecycle.snapshots.base import ObjectExists, ObjectMissing, StoreUnavailable

T = TypeVar("T")

# No segment begins with a dot: neither `..` nor the staging directory can be named.
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199})*")
_STAGING = ".staging"
_ATTEMPTS = 8
_WRITERS = 4
_STALE_S = 3600.0


class LocalStore:
    """Any number of processes of one machine may share the directory."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        self._staging = directory / _STAGING
        # Writes wait for the disk; reads, which wakes wait for, must not stand behind them.
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="store-write")

    def __repr__(self) -> str:
        return f"<LocalStore {self._root}>"

    async def create(self, key: str, body: bytes) -> None:
        await self._in_writer(partial(self._create, self._path(key), key, body))

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return await asyncio.to_thread(self._read, self._path(key), key, offset, length)

    async def remove(self, key: str) -> None:
        await self._in_writer(partial(self._remove, self._path(key)))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        for key in await self._in_writer(lambda: list(self._keys(prefix))):
            yield key

    async def check(self) -> None:
        """Also sweeps what a process that was killed left half written."""
        await self._in_writer(self._sweep)
        key = f"_probe/{secrets.token_hex(8)}"
        await self.create(key, b"probe")
        await self.remove(key)

    async def close(self) -> None:
        await asyncio.to_thread(self._writers.shutdown)

    async def _in_writer(self, work: Callable[[], T]) -> T:
        # A caller that gives up is let go at once, though the thread goes on: a disk that hangs
        # must not hang its caller, and a write is whole or absent either way.
        return await asyncio.get_running_loop().run_in_executor(self._writers, work)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key[:80]!r} cannot be a key")
        return self._root / key

    def _create(self, path: Path, key: str, body: bytes) -> None:
        with self._translated(key):
            self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
            made = self._staging / secrets.token_hex(12)
            try:
                _write_durably(made, body)
                self._link(made, path)
            except FileExistsError:
                raise ObjectExists(key) from None
            finally:
                made.unlink(missing_ok=True)

    def _link(self, made: Path, path: Path) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._make_directory(path.parent)
                # A link, not a rename: a name that is taken must stay as it is.
                os.link(made, path)
                break
            except FileNotFoundError:
                # A remove in between took away the directory, which was empty.
                if attempt == _ATTEMPTS:
                    raise
        _sync_directory(path.parent)

    def _make_directory(self, directory: Path) -> None:
        if directory.is_dir():
            return
        self._make_directory(directory.parent)
        directory.mkdir(exist_ok=True, mode=0o700)
        with suppress(FileNotFoundError):
            _sync_directory(directory.parent)

    def _read(self, path: Path, key: str, offset: int, length: int | None) -> bytes:
        with self._translated(key):
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    return file.read(-1 if length is None else length)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                # Without its root everything would look missing, and missing is final.
                if not self._root.is_dir():
                    raise StoreUnavailable(f"there is no directory {self._root}") from None
                raise ObjectMissing(key) from None

    def _remove(self, path: Path) -> None:
        with self._translated(str(path)):
            with suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            # Empty directories go too; one that another just filled refuses, which is right.
            with suppress(OSError):
                for parent in path.relative_to(self._root).parents[:-1]:
                    (self._root / parent).rmdir()

    def _keys(self, prefix: str) -> Iterator[str]:
        with self._translated(prefix):
            # Only the last segment of a prefix may be cut in the middle of a name.
            top = prefix.rpartition("/")[0]
            start = self._root / top if top else self._root
            for directory, inner, files in os.walk(start, onerror=_raise_unless_missing):
                inner[:] = sorted(name for name in inner if not name.startswith("."))
                base = Path(directory).relative_to(self._root)
                for name in sorted(files):
                    key = (base / name).as_posix()
                    if key.startswith(prefix) and _KEY.fullmatch(key):
                        yield key

    def _sweep(self) -> None:
        with self._translated(_STAGING):
            self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in self._staging.iterdir():
                # No write takes that long, so nobody is at work on it.
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            why = "no space is left" if full else str(error.strerror)
            raise StoreUnavailable(f"{self._root}: {why} ({what})") from error


def _write_durably(path: Path, body: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        view = memoryview(body)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
