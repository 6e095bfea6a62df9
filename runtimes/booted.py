"""Images of machines that have just booted, one for each size of memory: every start goes on from
one, and so takes what a wake takes.

Made by whoever needs it first, for all workers of this machine, and there until it starts anew. In
them is a kernel, our first process, and nothing of any actor.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from runtimes import guestcall, procfs
from runtimes.base import Resources, RuntimeFailure
from runtimes.guestplan import STANDARD_BYTES
from runtimes.kernel import Kernel
from runtimes.machines import FILES
from runtimes.spawn import in_thread
from runtimes.vmm import COMMAND_LINE, Guest, Vmm
from runtimes.vmseats import STATE, VmSeat, VmSeats, reap

BOOT_S = 90.0
_WORKS = "works"
_ASK_AGAIN_S = 0.05


class Booted:
    """`<Booted 4f02.., 1 being made>`"""

    def __init__(self, seats: VmSeats, vmm: Vmm) -> None:
        self._seats = seats
        self._vmm = vmm
        self._making: set[str] = set()
        self.kind = ""
        """Equal for guests that boot alike; `know` says it."""

    def __repr__(self) -> str:
        return f"<Booted {self.kind}, {len(self._making)} being made>"

    @property
    def names(self) -> frozenset[str]:
        """Of seats in which one boots."""
        return frozenset(self._making)

    def know(self, kernel: Kernel) -> None:
        """Raises OSError. Blocks."""
        parts = hashlib.blake2b(digest_size=8)
        for path in (kernel.image, kernel.first_files):
            parts.update(path.read_bytes())
        parts.update(repr((COMMAND_LINE, sorted(self._vmm.terms().items()))).encode())
        self.kind = parts.hexdigest()

    def is_tried(self) -> bool:
        """A machine went on from such an image here, and ran a program to its end."""
        return (self._place(STANDARD_BYTES) / _WORKS).exists()

    def tried(self) -> None:
        with contextlib.suppress(OSError):
            (self._place(STANDARD_BYTES) / _WORKS).touch()

    async def image(self, guest: Guest) -> Path:
        place = self._place(guest.memory_bytes)
        if not place.is_dir():
            await in_thread(lambda: STATE.mkdir(mode=0o711, parents=True, exist_ok=True))
            async with _alone(place.with_suffix(".lock")):
                if not place.is_dir():
                    await self._boot(guest, place)
        return place

    def _place(self, size: int) -> Path:
        return STATE / f"booted-{self.kind}-{size >> 20}"

    async def _boot(self, guest: Guest, place: Path) -> None:
        seat = self._seats.new()
        beside = place.with_name(f".{place.name}-{seat.name}")
        begun: list[procfs.Pid] = []
        self._making.add(seat.name)
        try:
            await in_thread(lambda: seat.lay(guest.memory_bytes, Resources()))
            process = await self._vmm.begin(seat.room, guest, seat.launch, None)
            begun.append(process)
            await until_it_listens(seat, lambda: procfs.is_alive(process))
            await self._vmm.pause(seat.room)
            await in_thread(lambda: beside.mkdir(mode=0o700))
            await self._vmm.save(seat.room, beside)
            await in_thread(lambda: (beside / FILES).write_bytes(b"null"))
            await in_thread(lambda: beside.rename(place))
        except (RuntimeFailure, OSError) as error:
            said = await in_thread(seat.said)
            raise RuntimeFailure(f"no machine boots here: {error} {said}".strip()) from error
        finally:
            await in_thread(lambda: _clear(seat, beside))
            reap(begun)
            self._making.discard(seat.name)


async def until_it_listens(seat: VmSeat, lives: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(BOOT_S):
            await guestcall.listens(seat.tap, lives)
    except TimeoutError as error:
        raise RuntimeFailure("the guest does not come up", retryable=True) from error


@contextlib.asynccontextmanager
async def _alone(place: Path) -> AsyncIterator[None]:
    """Among all workers of this machine, and all starts of this one. Asked for now and then: a
    thread that waits for the lock could not be told of a cancel."""
    file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_ASK_AGAIN_S)
        yield
    finally:
        os.close(file)


def _clear(seat: VmSeat, beside: Path) -> None:
    try:
        seat.remove()
    finally:
        shutil.rmtree(beside, ignore_errors=True)
