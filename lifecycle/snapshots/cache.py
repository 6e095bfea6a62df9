"""Cache: sealed objects kept on the worker's own disk, bounded in bytes, the longest unused go.

What lies here is as sealed as in the store, and is opened with the same checks: a damaged file
costs one more read, never a wrong answer. Blocks: called from threads.
"""

import os
import secrets
import threading
from collections import OrderedDict
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path


class Cache:
    """One worker's cache. A failing disk makes it empty, never an error."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_stock()

    def __repr__(self) -> str:
        return f"<Cache {len(self._sizes)} objects, {self._total} of {self._limit} bytes>"

    @property
    def total_bytes(self) -> int:
        return self._total

    def _take_stock(self) -> None:
        """What an earlier run left, oldest first."""
        known = []
        with os.scandir(self._directory) as listing:
            for entry in listing:
                if entry.name.startswith("."):
                    os.unlink(entry.path)  # half written when that run died
                else:
                    about = entry.stat(follow_symlinks=False)
                    known.append((about.st_mtime_ns, entry.name, about.st_size))
        for _, name, size in sorted(known):
            self._sizes[name] = size
            self._total += size
        self._evict()

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return _file_of(key) in self._sizes

    def get(self, key: str) -> bytes | None:
        name = _file_of(key)
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        try:
            path = self._directory / name
            body = path.read_bytes()
            os.utime(path)  # so that the order of use outlives a restart
        except OSError:
            self.drop(key)
            return None
        return body

    def put(self, key: str, body: bytes) -> None:
        # One object may not push out everything else.
        if len(body) > self._limit // 2:
            return
        name = _file_of(key)
        made = self._directory / f".{secrets.token_hex(8)}"
        try:
            made.write_bytes(body)
            made.replace(self._directory / name)
        except OSError:
            with suppress(OSError):
                made.unlink(missing_ok=True)
            return
        with self._lock:
            self._total += len(body) - self._sizes.pop(name, 0)
            self._sizes[name] = len(body)
            self._evict()

    def drop(self, key: str) -> None:
        with self._lock:
            self._remove(_file_of(key))

    def _evict(self) -> None:
        while self._total > self._limit:
            self._remove(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        self._total -= self._sizes.pop(name, 0)
        with suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


def _file_of(key: str) -> str:
    return blake2b(key.encode(), digest_size=20).hexdigest()
