"""The life of a gVisor sandbox after its start: who sits in which seat, freeze, watch, stop, sweep.

The program is frozen by the sandbox's own kernel, which must run to write an image, and which
counts its pauses: each is ended exactly once, and is written down while it lasts.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtimes import images, netpair, procfs, urpc
from runtimes.base import Exit, Handle, Inspection, RuntimeFailure, SandboxSpec
from runtimes.logs import Pump, Ring
from runtimes.procfs import Pid
from runtimes.records import Record, Records
from runtimes.seats import Seat, Seats
from runtimes.spawn import in_thread, to_its_end
from runtimes.watch import Watch

CALL_S = 20.0
"""For a call to a sandbox that lives."""
_LAST_WORD_S = 1.0
"""Between a sandbox's end and what it told of its program's."""
_ALL_PROCESSES = 1
_PAUSE = "containerManager.Pause"
_RESUME = "containerManager.Resume"
_SIGNAL = "containerManager.Signal"


@dataclass(slots=True, kw_only=True)
class Sitting:
    """What this worker knows of one sandbox beyond its record."""

    record: Record
    seat: Seat
    watch: Watch | None = None
    pump: Pump | None = None
    ending: urpc.Ending | None = None
    acting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever freezes, thaws or writes an image: a thaw that comes meanwhile waits."""
    clearing: asyncio.Lock = field(default_factory=asyncio.Lock)
    how: Exit | None = None
    spec: SandboxSpec | None = None
    """Where this worker started it."""
    is_lost: bool = False
    """A worker died while it paused the program or let it go on: nobody knows how it stands."""

    async def call(self, method: str, argument: object = None, files: Collection[int] = ()) -> None:
        """Raises RuntimeFailure, also when the sandbox is gone or does not answer in time."""
        try:
            async with asyncio.timeout(CALL_S):
                await urpc.call(self.seat.control, method, argument, tuple(files))
        except TimeoutError as error:
            raise RuntimeFailure("the sandbox does not answer", retryable=True) from error
        except OSError as error:
            raise RuntimeFailure(f"the sandbox is gone: {error}") from error

    async def signal(self, number: signal.Signals) -> None:
        """To every process of the actor."""
        argument = {
            "CID": self.seat.container,
            "Signo": int(number),
            "PID": 0,
            "Mode": _ALL_PROCESSES,
        }
        await self.call(_SIGNAL, argument)


class Sittings:
    """Every sandbox of one driver. `<Sittings 3 known>`"""

    def __init__(self, root: Path, seats: Seats) -> None:
        self._records = Records(root)
        self._seats = seats
        self._known: dict[str, Sitting] = {}

    def __repr__(self) -> str:
        return f"<Sittings {len(self._known)} known>"

    @contextlib.asynccontextmanager
    async def starting(self, spec: SandboxSpec, seat: Seat) -> AsyncIterator[Sitting]:
        """Take the seat; whatever ends the start before its handle is kept ends all of it."""
        sitting = Sitting(
            record=Record(
                slug=spec.slug,
                directory=spec.directory,
                log=spec.log,
                log_limit=spec.log_limit,
                seat=seat.name,
            ),
            seat=seat,
        )
        if spec.slug in self._known or self._records.read(spec.slug) is not None:
            await in_thread(seat.remove)
            raise RuntimeFailure(f"sandbox {spec.slug} is there already")
        try:
            await in_thread(lambda: self._note(sitting))
            yield sitting
            if sitting.record.handle is None:
                raise RuntimeFailure("the driver kept no handle of the sandbox")
        except BaseException as error:
            await self._end(sitting)
            if isinstance(error, OSError):
                raise RuntimeFailure(f"cannot start a sandbox: {error}", retryable=True) from error
            raise

    def attend(self, sitting: Sitting, main: Pid) -> None:
        """Watch it from before its program runs: else its end could go unheard."""
        record = sitting.record
        with contextlib.suppress(FileNotFoundError):
            ring = Ring(record.log, record.log_limit)
            sitting.pump = Pump(sitting.seat.fifo, ring, slug=record.slug)
            sitting.pump.start()
        sitting.watch = Watch(main)

    async def begin(self, sitting: Sitting, image: Sequence[int] = ()) -> None:
        """Let the program of the created sandbox run: from its start, or on from an image, whose
        pages are still being read when this returns."""
        device = await in_thread(lambda: netpair.device(sitting.seat.pair))
        try:
            network = netpair.settings(is_restore=bool(image))
            await sitting.call("containerManager.SetNetworkArgs", network, [device])
        finally:
            os.close(device)
        if image:
            await sitting.call("containerManager.Restore", images.LOAD, image)
        else:
            await sitting.call("containerManager.StartRoot", sitting.seat.container)
        # Directly: the sandbox tells its program's status to nobody who asks when it has ended.
        sitting.ending = urpc.Ending(sitting.seat.control, sitting.seat.container)

    def keep(self, sitting: Sitting, handle: Handle) -> Handle:
        """The start is complete."""
        sitting.record.handle = handle
        self._records.write(sitting.record)
        self._known[handle.slug] = sitting
        return handle

    def get(self, handle: Handle) -> Sitting:
        """Raises RuntimeFailure when it is gone."""
        sitting = self._find(handle)
        if sitting is None or sitting.is_lost:
            raise RuntimeFailure(f"sandbox {handle.slug} is gone")
        return sitting

    async def freeze(self, handle: Handle) -> None:
        """By the sandbox's own kernel, which then stands by: a tenth of a millisecond of CPU in a
        second. Not by the cgroup: a process that it stops in the middle of a page fault or an exec
        may find itself with a SIGSEGV when it is let go (one in thirty, of busy ones), whether that
        kernel has paused it or not."""
        sitting = self.get(handle)
        async with sitting.acting:
            await self.pause(sitting)

    async def thaw(self, handle: Handle) -> None:
        sitting = self.get(handle)
        async with sitting.acting:
            await self._thaw(sitting)

    async def _thaw(self, sitting: Sitting) -> None:
        if sitting.record.is_paused:
            await self._turn(sitting, _RESUME, is_paused=False)

    async def pause(self, sitting: Sitting) -> None:
        """Let the sandbox's kernel run and its program not. `acting` is held."""
        if not sitting.record.is_paused:
            await self._turn(sitting, _PAUSE, is_paused=True)

    async def _turn(self, sitting: Sitting, method: str, *, is_paused: bool) -> None:
        """Pause the program or let it go on, and write that down before and after: done twice,
        the one would need the other twice, the other ends the sandbox. A cancel waits."""
        record = sitting.record
        if record.is_turning:
            raise RuntimeFailure(f"nobody knows whether {record.slug} is paused")
        record.is_turning = True
        self._records.write(record)
        try:
            answer = urpc.asked(sitting.seat.control, method, CALL_S)
            try:
                await to_its_end(answer)
            finally:
                if not answer.cancelled() and answer.exception() is None:
                    record.is_paused, record.is_turning = is_paused, False
                    self._records.write(record)
        except TimeoutError as error:
            raise RuntimeFailure("the sandbox does not answer", retryable=True) from error
        except OSError as error:
            raise RuntimeFailure(f"the sandbox is gone: {error}") from error

    async def stop(self, handle: Handle, grace_s: float) -> None:
        sitting = self._find(handle)
        if sitting is None:
            return
        if grace_s > 0 and not sitting.is_lost:
            with contextlib.suppress(RuntimeFailure, TimeoutError):
                async with asyncio.timeout(grace_s), sitting.acting:
                    # Signal first: it must not serve anyone between the two.
                    await sitting.signal(signal.SIGTERM)
                    await self._thaw(sitting)
                    await self.wait(handle)
        await self._end(sitting)

    async def wait(self, handle: Handle) -> Exit:
        sitting = self._find(handle)
        if sitting is None:
            return Exit()
        assert sitting.watch is not None and sitting.ending is not None
        await asyncio.shield(sitting.watch.ended)
        if sitting.how is None:
            sitting.how = await self._how(sitting)
            # Its gofer, should it still be there: it serves nobody.
            sitting.seat.kill()
        return sitting.how

    async def _how(self, sitting: Sitting) -> Exit:
        assert sitting.ending is not None
        oom = sitting.seat.saw_oom()
        try:
            async with asyncio.timeout(_LAST_WORD_S):
                status = await asyncio.shield(sitting.ending.status)
        except TimeoutError:
            status = None
        if status is None:
            return Exit(oom=oom)
        code, number = urpc.exit_of(status)
        return Exit(code=code, signal=number, oom=oom)

    async def inspect(self, handle: Handle) -> Inspection:
        sitting = self._find(handle)
        alive = procfs.is_alive(Pid(handle.pid, handle.started))
        if sitting is None or sitting.is_lost or not alive:
            return Inspection(alive=False)
        group = sitting.seat.cgroup
        return Inspection(
            alive=True,
            frozen=sitting.record.is_paused,
            cpu_s=group.cpu_s(),
            memory_bytes=sitting.seat.used_bytes(),
        )

    async def sweep(self, keep: Collection[str], spare: Collection[str]) -> list[str]:
        """`spare`: seats that wait for an actor in this very process."""
        ended, kept = [], set(spare)
        for slug in self._records:
            record = self._records.read(slug)
            if record is None or record.seat is None:
                self._records.remove(slug)
            elif slug in keep:
                kept.add(record.seat)
            else:
                await self._end(self._known.get(slug) or self._from(record, record.seat))
                ended.append(slug)
        for name in self._seats.names():
            if name not in kept:
                await in_thread(self._seats.at(name).remove)
        return ended

    def _note(self, sitting: Sitting) -> None:
        self._records.write(sitting.record)

    def _find(self, handle: Handle) -> Sitting | None:
        """This worker's, or one that an earlier worker left and that is still written down."""
        known = self._known.get(handle.slug)
        if known is not None:
            return known
        record = self._records.read(handle.slug)
        if record is None or record.handle is None or record.seat is None:
            return None
        sitting = self._known[handle.slug] = self._from(record, record.seat)
        sitting.is_lost = record.is_turning
        self.attend(sitting, Pid(record.handle.pid, record.handle.started))
        sitting.ending = urpc.Ending(sitting.seat.control, sitting.seat.container)
        return sitting

    def _from(self, record: Record, seat: str) -> Sitting:
        return Sitting(record=record, seat=self._seats.at(seat))

    async def _end(self, sitting: Sitting) -> None:
        """Kill and clear away all of it. Finished even when cancelled: half an end leaks."""
        async with sitting.clearing:
            gone = False

            def remove() -> None:
                nonlocal gone
                sitting.seat.remove()
                gone = True

            if sitting.pump is not None:
                sitting.seat.kill()
                sitting.pump.close()
            try:
                await in_thread(remove)
            finally:
                # What is not gone keeps its record: a later stop or sweep tries again.
                if gone:
                    self._clear(sitting)

    def _clear(self, sitting: Sitting) -> None:
        if sitting.ending is not None:
            sitting.ending.close()
        slug = sitting.record.slug
        self._records.remove(slug)
        if self._known.get(slug) is sitting:
            del self._known[slug]
