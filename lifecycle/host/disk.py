"""Small work on the worker's disk: a few names made, moved or removed in each wake and suspend.

A visit to a thread costs several times what they do, so they are done in the loop while the disk is
quick. Once one was slow, all go to threads for a while: a disk that stalls stops no other actor's
requests for longer than that one took. What may be large never is done in the loop.

Slow is who waited for the disk. A loop that is short of processors takes as long for other reasons,
and threads would cost it what it is short of.
"""

import asyncio
import os
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from lifecycle.host.kept import Kept
from lifecycle.host.places import Copy

QUICK_S = 0.005
SLOW_FOR_S = 10.0

T = TypeVar("T")


def _waits() -> int:
    """How often this thread gave up its processor by itself, as one that waits for a disk does."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _always() -> int:
    """Where nobody tells threads apart: whatever took long waited."""
    return time.monotonic_ns()


_TELLS = _waits if hasattr(resource, "RUSAGE_THREAD") else _always


class Disk:
    def __init__(
        self, clock: Callable[[], float] = time.monotonic, waits: Callable[[], int] = _TELLS
    ) -> None:
        self._clock = clock
        self._waits = waits
        self._slow_until = 0.0

    def __repr__(self) -> str:
        return f"<Disk {'quick' if self.is_quick else 'slow'}>"

    @property
    def is_quick(self) -> bool:
        return self._clock() >= self._slow_until

    async def do(self, work: Callable[[], T]) -> T:
        """For what is a handful of names, however large the files are."""
        if not self.is_quick:
            return await asyncio.to_thread(work)
        began, waits = self._clock(), self._waits()
        try:
            return work()
        finally:
            ended = self._clock()
            if ended - began > QUICK_S and self._waits() > waits:
                self._slow_until = ended + SLOW_FOR_S

    async def put_away(self, copy: Copy, kept: Kept, uid: str, snapshot: str, size: int) -> None:
        """Into the cache what it is for, and away with the rest. Raises OSError."""

        def keep() -> None:
            kept.put(uid, snapshot, copy.durable, size)

        if kept.has_room(uid, size):
            await self.do(keep)
        else:
            await asyncio.to_thread(keep)  # others go for it, with all their files
        if not await self.do(lambda: _is_removed(copy)):
            await asyncio.to_thread(copy.remove)


def _is_removed(copy: Copy) -> bool:
    """Take it away name by name; False when there is more in it than every copy has."""
    try:
        os.unlink(copy.path / "note.json")
        os.rmdir(copy.sandbox)
        os.rmdir(copy.path)
    except OSError:
        return False
    return True
