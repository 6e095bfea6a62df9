"""Watched files: read again when they change; a bad new version leaves the old one in force."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

LOOK_S = 1.0

Signature = tuple[tuple[int, int, int] | None, ...]


class WatchedFiles:
    """Files that are read together, as a certificate and its key.

    `read` takes them over as a whole or raises OSError or ValueError and changes nothing.
    """

    def __init__(self, paths: tuple[Path, ...], read: Callable[[], None]) -> None:
        self._paths = paths
        self._read = read
        self._seen: Signature | None = None
        self._refused: Signature | None = None

    def __repr__(self) -> str:
        return f"<WatchedFiles {', '.join(map(str, self._paths))}>"

    def load(self) -> None:
        """The first time: what can't be read is the caller's to tell."""
        seen = self._signature()
        self._read()
        self._seen = seen

    def look(self) -> bool:
        """Read what changed; True when something new is in force."""
        seen = self._signature()
        if seen == self._seen:
            return False
        try:
            self._read()
        except (OSError, ValueError) as error:
            # Tried again at every look, told once: half of a pair may have been written yet.
            if seen != self._refused:
                log.warning(
                    "changed files can't be used, the old ones stay",
                    extra={"paths": [str(path) for path in self._paths], "why": str(error)},
                )
            self._refused = seen
            return False
        # The signature from before: a change during the reading is found by the next look.
        self._seen, self._refused = seen, None
        log.info("changed files taken over", extra={"paths": [str(p) for p in self._paths]})
        return True

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            # Not in a thread: nobody may be judged by old keys while new ones are taken over.
            self.look()

    def _signature(self) -> Signature:
        return tuple(_of(path) for path in self._paths)


def _of(path: Path) -> tuple[int, int, int] | None:
    """Through links: a mounted secret changes by turning one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
