"""What an actor prints: a FIFO it can never break, pumped into two files of bounded size.

The actor holds the FIFO open for reading and writing, so that a worker's death neither kills it
(SIGPIPE) nor loses the way: the next worker opens the same FIFO and pumps on; until then an actor
that prints more than the kernel's 64 KiB waits. The pump reads a bounded amount at a time, so
that an actor that prints for ever slows down itself, not the worker, and never fills the disk.
"""

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

CHUNK_BYTES = 65_536
PAUSE_S = 0.01
"""After a full chunk: 6 MB/s an actor at the most."""
DRAIN_CHUNKS = 16


def older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def tail(path: Path, most_bytes: int) -> bytes:
    """The last `most_bytes` of what was kept; empty when nothing was."""
    if most_bytes <= 0:
        return b""
    kept = b""
    for part in (path, older(path)):
        try:
            with part.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - (most_bytes - len(kept))))
                kept = file.read(most_bytes - len(kept)) + kept
        except FileNotFoundError:
            continue
        if len(kept) >= most_bytes:
            break
    return kept


class Ring:
    """Two files that together never exceed `limit`: full, the newer becomes the older."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path = path
        self._half = max(1, limit // 2)
        self._file: BinaryIO | None = None
        self._size = 0

    def write(self, data: bytes) -> None:
        """Keep `data`; of more than half the limit, its end. Raises OSError."""
        data = data[-self._half :]
        file = self._open()
        if self._size + len(data) > self._half:
            self.close()
            self._path.replace(older(self._path))
            file = self._open()
        file.write(data)
        self._size += len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: `rouse actor logs` shows what was printed a moment ago.
            self._file = self._path.open("ab", buffering=0)
            self._size = os.fstat(self._file.fileno()).st_size
        return self._file


def make_fifo(path: Path, owner: int | None = None) -> None:
    """Make it, or keep the one that is there. `owner` may open it anew as /dev/stdout."""
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    if owner is not None:
        os.chown(path, owner, owner)


def open_for_actor(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


class Pump:
    """Carries one FIFO into its ring as long as it runs."""

    def __init__(self, fifo: Path, ring: Ring, *, slug: str) -> None:
        self._ring = ring
        self._slug = slug
        self._source = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._lost_bytes = 0

    def start(self) -> None:
        """Begin once the actor has the FIFO open; before that it would look ended."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._source, self._readable)

    def close(self) -> None:
        """Take what is still in the FIFO, a bounded amount, and end. Done twice is done once."""
        if self._source < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._source)
        for _ in range(DRAIN_CHUNKS):
            if not self._take():
                break
        os.close(self._source)
        self._source = -1
        self._ring.close()

    def _readable(self) -> None:
        taken = self._take()
        assert self._loop is not None
        if taken == 0 or taken >= CHUNK_BYTES:
            # Ended, or a flood. An ended FIFO stays readable for ever, so both wait for a while;
            # one that has ended may be opened again by a child that starts later.
            self._loop.remove_reader(self._source)
            self._pause = self._loop.call_later(PAUSE_S if taken else 1.0, self.start)

    def _take(self) -> int:
        try:
            data = os.read(self._source, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._keep(data)
        return len(data)

    def _keep(self, data: bytes) -> None:
        try:
            self._ring.write(data)
        except OSError as error:
            # A full disk costs the log, not the actor. Said once, not at each line.
            if not self._lost_bytes:
                log.warning(
                    "output of an actor is lost",
                    extra={"sandbox": self._slug, "error": str(error)},
                )
            self._lost_bytes += len(data)
