"""The life of a virtual machine after its start: freeze, thaw, image, watch, stop, sweep.

A frozen machine stands still twice: its guest by the monitor, at a moment when nothing is under way
between the guest and its attendant, and both their processes by the cgroup. So an image of it can
be written later, with the guest still standing while the monitor runs for that.
"""

import asyncio
import contextlib
import json
import logging
import shutil
import signal
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path

from runtimes import guestcall, procfs
from runtimes.base import Exit, Handle, Inspection, RuntimeFailure, SandboxSpec
from runtimes.logs import Pump, Ring
from runtimes.procfs import Pid
from runtimes.records import Record, Records
from runtimes.spawn import in_thread
from runtimes.vmm import Vmm
from runtimes.vmseats import VmSeat, VmSeats, ask_files, read_exit, reap
from runtimes.watch import Watch

log = logging.getLogger(__name__)

FILES = "files"
"""Of an image, beside the monitor's: what the guest's kernel knows of the files it is served."""
QUIET_S = 2.0
"""A guest that does not answer in this time is stopped as it is; then it gives no image."""
_ASK_S = 10.0


@dataclass(slots=True, kw_only=True)
class Machine:
    """What this worker knows of one machine beyond its record."""

    record: Record
    seat: VmSeat
    watches: list[Watch] = field(default_factory=list)
    """Of the monitor, and of the attendant: without either it serves nobody."""
    pump: Pump | None = None
    acting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever freezes, thaws or writes an image: a thaw that comes meanwhile waits."""
    clearing: asyncio.Lock = field(default_factory=asyncio.Lock)
    how: Exit | None = None

    @property
    def lives(self) -> bool:
        return all(procfs.is_alive(Pid(*root)) for root in self.record.roots)


class Machines:
    """Every machine of one driver. `<Machines 3 known>`"""

    def __init__(self, root: Path, seats: VmSeats, vmm: Vmm) -> None:
        self._records = Records(root)
        self._seats = seats
        self._vmm = vmm
        self._known: dict[str, Machine] = {}

    def __repr__(self) -> str:
        return f"<Machines {len(self._known)} known>"

    @contextlib.asynccontextmanager
    async def starting(self, spec: SandboxSpec, seat: VmSeat) -> AsyncIterator[Machine]:
        """Take the seat; whatever ends the start before its handle is kept ends all of it."""
        if spec.slug in self._known or self._records.read(spec.slug) is not None:
            raise RuntimeFailure(f"sandbox {spec.slug} is there already")
        record = Record.of(spec)
        record.seat = seat.name
        machine = Machine(record=record, seat=seat)
        try:
            await in_thread(lambda: self._records.write(record))
            yield machine
            if record.handle is None:
                raise RuntimeFailure("the driver kept no handle of the sandbox")
        except BaseException as error:
            said = await in_thread(seat.said)
            await self._end(machine)
            if isinstance(error, OSError):
                raise RuntimeFailure(f"cannot start a sandbox: {error}", retryable=True) from error
            if isinstance(error, RuntimeFailure) and said:
                raise RuntimeFailure(f"{error} ({said})", retryable=error.retryable) from error
            raise

    def began(self, machine: Machine, process: Pid) -> None:
        """Written down at once: what a dead worker began is found by its seat, but its life is
        judged by these."""
        machine.record.roots.append(process)
        self._records.write(machine.record)

    def keep(self, machine: Machine, handle: Handle) -> Handle:
        """The start is complete."""
        machine.record.handle = handle
        self._records.write(machine.record)
        self._known[handle.slug] = machine
        return handle

    def attend(self, machine: Machine) -> None:
        """Watch it, and keep its output."""
        record = machine.record
        with contextlib.suppress(FileNotFoundError):
            ring = Ring(record.log, record.log_limit)
            machine.pump = Pump(machine.seat.fifo, ring, slug=record.slug)
            machine.pump.start()
        machine.watches = [Watch(Pid(*root)) for root in record.roots]

    def get(self, handle: Handle) -> Machine:
        """Raises RuntimeFailure when it is gone."""
        machine = self._find(handle)
        if machine is None:
            raise RuntimeFailure(f"sandbox {handle.slug} is gone")
        return machine

    async def freeze(self, handle: Handle) -> None:
        machine = self.get(handle)
        async with machine.acting:
            if not machine.record.is_paused or machine.record.is_turning:
                await self._pause(machine)
            await machine.seat.cgroup.freeze()

    async def _pause(self, machine: Machine) -> None:
        # Written down before: whatever ends us in here, a thaw lets the guest ask for files again.
        record = machine.record
        record.is_turning, record.is_quiet = True, False
        self._records.write(record)
        with contextlib.suppress(RuntimeFailure, TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await guestcall.call(machine.seat.tap, "quiet")
                record.is_quiet = True
        await self._vmm.pause(machine.seat.room)
        record.is_paused, record.is_turning = True, False
        self._records.write(record)

    async def thaw(self, handle: Handle) -> None:
        machine = self.get(handle)
        async with machine.acting:
            await self._thaw(machine)

    async def _thaw(self, machine: Machine) -> None:
        machine.seat.cgroup.thaw()
        if not machine.record.is_paused and not machine.record.is_turning:
            return
        machine.record.is_turning = True
        self._records.write(machine.record)
        await self._vmm.resume(machine.seat.room)
        await guestcall.call(machine.seat.tap, "resume", **guestcall.afresh())
        machine.record.is_paused = machine.record.is_turning = False
        self._records.write(machine.record)

    async def write_image(self, handle: Handle, into: Path) -> None:
        machine = self.get(handle)
        async with machine.acting:
            record = machine.record
            if not record.is_paused or record.is_turning or not record.is_quiet:
                raise RuntimeFailure("the guest did not come to rest", retryable=True)
            try:
                await self._write(machine, into)
            except BaseException:
                await in_thread(lambda: shutil.rmtree(into, ignore_errors=True))
                raise

    async def _write(self, machine: Machine, into: Path) -> None:
        await in_thread(lambda: into.mkdir(mode=0o700, parents=True))
        # The monitor and the attendant run; the guest does not.
        machine.seat.cgroup.thaw()
        try:
            files = await in_thread(lambda: ask_files(machine.seat.control, _ASK_S))
            await in_thread(lambda: _note(into / FILES, files))
            await self._vmm.save(machine.seat.room, into)
        except OSError as error:
            raise RuntimeFailure(f"no image: {error}", retryable=True) from error
        await machine.seat.cgroup.freeze()

    async def stop(self, handle: Handle, grace_s: float) -> None:
        machine = self._find(handle)
        if machine is None:
            return
        if grace_s > 0:
            with contextlib.suppress(RuntimeFailure, TimeoutError):
                async with asyncio.timeout(grace_s), machine.acting:
                    await self._thaw(machine)
                    term = int(signal.SIGTERM)
                    await guestcall.call(machine.seat.tap, "signal", signal=term)
                    await self.wait(handle)
        await self._end(machine)

    async def wait(self, handle: Handle) -> Exit:
        machine = self._find(handle)
        if machine is None:
            return Exit()
        ends = [watch.ended for watch in machine.watches]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if machine.how is None:
            machine.how = _how(machine)
            # The other one of the two serves nobody.
            machine.seat.kill()
        return machine.how

    async def inspect(self, handle: Handle) -> Inspection:
        machine = self._find(handle)
        if machine is None or not machine.lives:
            return Inspection(alive=False)
        group = machine.seat.cgroup
        return Inspection(
            alive=True,
            frozen=group.is_frozen or machine.record.is_paused,
            cpu_s=group.cpu_s(),
            memory_bytes=machine.seat.used_bytes(),
        )

    async def sweep(self, keep: Collection[str], spare: Collection[str]) -> list[str]:
        """`spare`: seats that are no actor's."""
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

    def _find(self, handle: Handle) -> Machine | None:
        """This worker's, or one that an earlier worker left and that is still written down."""
        known = self._known.get(handle.slug)
        if known is not None:
            return known
        record = self._records.read(handle.slug)
        if record is None or record.handle is None or record.seat is None:
            return None
        machine = self._known[handle.slug] = self._from(record, record.seat)
        self.attend(machine)
        return machine

    def _from(self, record: Record, name: str) -> Machine:
        return Machine(record=record, seat=self._seats.at(name))

    async def _end(self, machine: Machine) -> None:
        """Kill and clear away all of it. Finished even when cancelled: half an end leaks."""
        async with machine.clearing:
            gone = False

            def remove() -> None:
                nonlocal gone
                machine.seat.remove()
                gone = True

            if machine.pump is not None:
                machine.seat.kill()
                machine.pump.close()
            try:
                await in_thread(remove)
            finally:
                # What is not gone keeps its record: a later stop or sweep tries again.
                if gone:
                    self._clear(machine)

    def _clear(self, machine: Machine) -> None:
        if not machine.watches:
            reap(Pid(*root) for root in machine.record.roots)
        slug = machine.record.slug
        self._records.remove(slug)
        if self._known.get(slug) is machine:
            del self._known[slug]


def _how(machine: Machine) -> Exit:
    told = read_exit(machine.seat.exited)
    code, number = told.get("code"), told.get("signal")
    return Exit(
        code=code if isinstance(code, int) else None,
        signal=number if isinstance(number, int) else None,
        oom=told.get("oom") is True or machine.seat.saw_oom(),
    )


def _note(place: Path, files: object) -> None:
    place.write_bytes(json.dumps(files).encode())
