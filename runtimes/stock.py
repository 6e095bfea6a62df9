"""Sandboxes made before they are wanted: networks for any actor, and empty sandboxes by the kind
of actor that was woken lately. A wake then only has to read its memory.

A few, and fewer when memory is short; what nobody asked for in a while goes. Whoever finds none
makes one: nothing here is ever waited for but a sandbox that is being made for that very wake.
"""

import asyncio
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtimes import procfs
from runtimes.base import RuntimeFailure, SandboxSpec
from runtimes.procfs import Pid
from runtimes.seats import Seat, Seats
from runtimes.spawn import in_thread

log = logging.getLogger(__name__)

LAID = 4
"""Networks that stand ready."""
MOST = 8
"""Empty sandboxes in all, some 40 MB each."""
FORGOTTEN_S = 300.0
"""A kind of actor that nobody woke for this long has none any more."""
SPARE_BYTES = 1 << 30
"""Of the machine's memory: below it none is made."""
REST_S = 0.2
"""Before one that was taken is made again: the actor that took it has just woken, and is first."""
AGAIN_S = 5.0
"""After one that could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An empty sandbox. Its durable directories are its own, until an actor's files move in."""

    seat: Seat
    main: Pid
    durable: dict[str, Path]

    @property
    def lives(self) -> bool:
        return procfs.is_alive(self.main)

    def fits(self, spec: SandboxSpec) -> bool:
        """It lives, and the actor's files can move in: they are on the same file system."""
        if not self.lives:
            return False
        try:
            here = os.stat(self.seat.directory).st_dev
            return all(os.stat(path).st_dev == here for path in spec.durable.values())
        except OSError:
            return False


class Stock:
    """`make` creates the sandbox of a spec in a seat that is laid; it blocks."""

    def __init__(self, seats: Seats, make: Callable[[SandboxSpec, Seat], Box]) -> None:
        self._seats = seats
        self._make = make
        self._laid: list[Seat] = []
        self._boxes: dict[str, Box] = {}
        self._wanted: OrderedDict[str, tuple[SandboxSpec, float]] = OrderedDict()
        """Kind -> a spec of it, and when it was last asked for; the latest is last."""
        self._making: dict[str, asyncio.Event] = {}
        self._own: set[str] = set()
        self._stirred = asyncio.Event()
        self._is_urgent = False
        self._runs = False
        self._is_used = False
        """Nothing is made for a worker that has no such actors."""

    def __repr__(self) -> str:
        return f"<Stock {len(self._laid)} laid, {len(self._boxes)} boxes>"

    @property
    def names(self) -> frozenset[str]:
        """Of all seats in it, also of those that are being made."""
        return frozenset(self._own)

    def want(self, kind: str, spec: SandboxSpec, *, soon: bool) -> None:
        """One of this kind will be asked for; `soon`: it is worth making one at once."""
        self._is_used = True
        self._wanted[kind] = (spec, time.monotonic())
        self._wanted.move_to_end(kind)
        while len(self._wanted) > MOST:
            self._wanted.popitem(last=False)
        if soon and kind not in self._boxes and self._runs:
            self._making.setdefault(kind, asyncio.Event())
            self._is_urgent = True
        self._stirred.set()

    async def take(self, kind: str) -> Box | None:
        """An empty sandbox, its taker's from now on; None: there is none, make one."""
        making = self._making.get(kind)
        if making is not None:
            await making.wait()
        box = self._boxes.pop(kind, None)
        if box is not None:
            self._own.discard(box.seat.name)
        self._stirred.set()
        return box

    def seat(self) -> Seat | None:
        """A seat that is laid, its taker's from now on; None: there is none, lay one."""
        self._is_used = True
        self._stirred.set()
        if not self._laid:
            return None
        seat = self._laid.pop()
        self._own.discard(seat.name)
        return seat

    async def fill(self) -> int:
        """Make all that is missing now; how many that were. Raises RuntimeFailure, OSError."""
        made = 0
        while await self._make_one():
            made += 1
        return made

    async def run(self) -> None:
        """Make what is missing, until cancelled; then nothing of it is left."""
        self._runs = True
        try:
            while True:
                await self._tend()
        finally:
            self._runs = False
            self._release_all()
            await self._clear()

    async def _tend(self) -> None:
        try:
            if not self._is_urgent:
                await asyncio.sleep(REST_S)
            self._is_urgent = False
            self._stirred.clear()
            await self.fill()
        except (RuntimeFailure, OSError) as error:
            log.warning("no sandbox made in advance", extra={"why": str(error)})
            self._release_all()
            await asyncio.sleep(AGAIN_S)
        try:
            async with asyncio.timeout(FORGOTTEN_S / 4):
                await self._stirred.wait()
        except TimeoutError:
            await self._forget()

    async def _make_one(self) -> bool:
        """False when nothing is missing."""
        kind = next((kind for kind in self._making if kind not in self._boxes), None)
        if kind is None:
            if self._is_used and len(self._laid) < LAID:
                self._laid.append(await self._lay())
                return True
            lacking = (kind for kind in reversed(self._wanted) if kind not in self._boxes)
            kind = next(lacking, None)
        if kind is None or len(self._boxes) >= MOST or not has_memory():
            self._release_all()
            return False
        spec, _ = self._wanted.get(kind, (None, 0.0))
        if spec is not None:
            await self._fill(kind, spec)
        if (made := self._making.pop(kind, None)) is not None:
            made.set()
        return True

    async def _lay(self) -> Seat:
        seat = self._seats.new()
        self._own.add(seat.name)
        try:
            await in_thread(seat.lay)
        except BaseException:
            await self._drop(seat)
            raise
        return seat

    async def _fill(self, kind: str, spec: SandboxSpec) -> None:
        seat = self._laid.pop() if self._laid else await self._lay()
        try:
            self._boxes[kind] = await in_thread(lambda: self._make(spec, seat))
        except BaseException:
            await self._drop(seat)
            raise

    async def _forget(self) -> None:
        now = time.monotonic()
        for kind, (_, asked) in list(self._wanted.items()):
            if now - asked > FORGOTTEN_S:
                del self._wanted[kind]
        for kind in [kind for kind in self._boxes if kind not in self._wanted]:
            await self._drop(self._boxes.pop(kind).seat)

    def _release_all(self) -> None:
        """Whoever waits for one makes it."""
        while self._making:
            self._making.popitem()[1].set()

    async def _clear(self) -> None:
        for seat in [*self._laid, *(box.seat for box in self._boxes.values())]:
            await self._drop(seat)
        self._laid.clear()
        self._boxes.clear()

    async def _drop(self, seat: Seat) -> None:
        try:
            await in_thread(seat.remove)
        except RuntimeFailure as error:
            log.warning("sandbox made in advance not ended", extra={"why": str(error)})
        self._own.discard(seat.name)


def has_memory() -> bool:
    try:
        lines = (procfs.PROC / "meminfo").read_text().splitlines()
    except OSError:
        return True
    free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return not free or free[0] >= SPARE_BYTES


def move_in(files: Path, place: Path) -> None:
    """Put the files of an actor into the directory that its sandbox has open, and that one where
    the files were: the same names lead to them before and after, for the sandbox and for us."""
    about = os.stat(files)
    with os.scandir(files) as listing:
        names = [entry.name for entry in listing]
    for name in names:
        os.rename(files / name, place / name)
    os.chmod(place, about.st_mode & 0o7777)
    os.utime(place, ns=(about.st_atime_ns, about.st_mtime_ns))
    os.rename(place, files)
