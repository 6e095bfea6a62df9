"""The life of a sandbox of host processes after its start: freeze, thaw, watch, stop, sweep.

What the drivers that begin host processes share. They differ in how a sandbox begins; from there
on each is a set of processes with a cgroup, or a family tree where there is no cgroup.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from runtimes import cgroups, procfs
from runtimes.base import (
    Exit,
    Handle,
    Inspection,
    Resources,
    RuntimeClass,
    RuntimeFailure,
    SandboxSpec,
)
from runtimes.logs import Pump, Ring, make_fifo
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.records import Record, Records
from runtimes.spawn import in_thread
from runtimes.watch import Watch

END_WAIT_S = 10.0
"""A killed process may sit in the kernel for a while; longer than this is an error."""
FREEZE_ROUNDS = 50
"""By signals: how often to look for processes that were forked while we stopped the others."""


class Parent(Protocol):
    """Of a main program that is not this worker's child: who is told how it ended."""

    async def exit_of(self, pid: int) -> Exit: ...


@dataclass(slots=True, kw_only=True)
class Sandbox:
    """What this worker knows of one sandbox beyond its record."""

    record: Record
    cgroup: cgroups.Cgroup | None
    watch: Watch | None = None
    pump: Pump | None = None
    ending: asyncio.Lock = field(default_factory=asyncio.Lock)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    how: Exit | None = None
    parent: Parent | None = None
    """None: the worker itself, or nobody who could be asked."""

    @property
    def roots(self) -> list[Pid]:
        return [Pid(*root) for root in self.record.roots]

    def members(self) -> set[Pid]:
        """All its processes that live now."""
        if self.cgroup is not None:
            found = {procfs.identify(pid) for pid in self.cgroup.pids()}
            # Beside the cgroup's: a root that died in between, or never got into it.
            found |= {root for root in self.roots if procfs.is_alive(root)}
            if self.record.handle is None:
                found |= self._relations()
            return {member for member in found if procfs.is_alive(member)}
        return self._relations()

    def _relations(self) -> set[Pid]:
        """Half begun, a child may have been forked before its parent had joined the cgroup or was
        written down, and may have lost that parent since: then it is known by its output."""
        if self.record.is_alone:
            return {root for root in self.roots if procfs.is_alive(root)}
        found = procfs.family(self.roots, marker=str(self.record.directory))
        return found if self.record.handle is not None else found | procfs.holders(self.record.fifo)

    def actors(self) -> set[Pid]:
        """Its processes without those that only hold the sandbox."""
        return {member for member in self.members() if member.pid not in self.record.spared}

    def send(self, number: signal.Signals) -> None:
        for member in self.actors():
            procfs.send(member, number)

    def kill(self) -> bool:
        """SIGKILL to everything; True while something is left."""
        if self.cgroup is not None:
            self.cgroup.kill()
        for member in self.members():
            procfs.send(member, signal.SIGKILL)
        return bool(self.members()) or (self.cgroup is not None and self.cgroup.is_populated)


class Sandboxes:
    """Every sandbox of one driver. `<Sandboxes 3 known>`"""

    def __init__(
        self,
        root: Path,
        *,
        tree: cgroups.Tree | None,
        ports: Ports,
        read_exit: Callable[[Exit], Exit] = lambda how: how,
        alone: bool = False,
    ) -> None:
        self._records = Records(root)
        self._tree = tree
        self._ports = ports
        self._read_exit = read_exit
        self._alone = alone
        self._known: dict[str, Sandbox] = {}

    def __repr__(self) -> str:
        return f"<Sandboxes {len(self._known)} known>"

    @contextlib.asynccontextmanager
    async def starting(
        self, spec: SandboxSpec, *, owner: int | None = None, extra_pids: int = 0
    ) -> AsyncIterator[Sandbox]:
        """Prepare for a start; whatever ends it before its handle is kept ends all it made.

        `owner`: user id that the program runs as, where it is not the worker's. `extra_pids`:
        processes that hold the sandbox and must not count against the actor's own.
        """
        if spec.slug in self._known or self._records.read(spec.slug) is not None:
            raise RuntimeFailure(f"sandbox {spec.slug} is there already")
        sandbox = Sandbox(record=Record.of(spec), cgroup=None)
        sandbox.record.is_alone = self._alone
        try:
            bounds = spec.resources
            if bounds.pids is not None:
                bounds = msgspec.structs.replace(bounds, pids=bounds.pids + extra_pids)
            await in_thread(lambda: self._prepare(sandbox, bounds, owner))
            yield sandbox
            if sandbox.record.handle is None:
                raise RuntimeFailure("the driver kept no handle of the sandbox")
        except BaseException as error:
            await self._end(sandbox)
            if isinstance(error, OSError):
                # A full disk, a directory that is not ours, a sandbox that died under our hands.
                raise RuntimeFailure(f"cannot start a sandbox: {error}", retryable=True) from error
            raise

    def began(
        self, sandbox: Sandbox, process: Pid, *, spared: bool = False, adopted: bool = False
    ) -> None:
        """A process of a start, written down at once: a worker that dies now leaves a record by
        which the next one ends it. `spared`: it holds the sandbox and is not the actor.
        `adopted`: it was forked in another sandbox."""
        if sandbox.cgroup is not None:
            join = sandbox.cgroup.adopt if adopted else sandbox.cgroup.join
            join(process.pid)
        sandbox.record.roots.append(process)
        if spared:
            sandbox.record.spared.append(process.pid)
        self._records.write(sandbox.record)

    def keep(self, sandbox: Sandbox, handle: Handle) -> Handle:
        """The start is complete: from here on the sandbox is watched and its output kept."""
        sandbox.record.handle = handle
        self._records.write(sandbox.record)
        self._known[handle.slug] = sandbox
        self._attend(sandbox, handle)
        return handle

    async def freeze(self, handle: Handle) -> None:
        sandbox = self._find(handle)
        if sandbox is None:
            raise RuntimeFailure(f"sandbox {handle.slug} is gone")
        if sandbox.cgroup is not None:
            await sandbox.cgroup.freeze()
            return
        await self._stop_all(sandbox)

    async def thaw(self, handle: Handle) -> None:
        sandbox = self._find(handle)
        if sandbox is None:
            raise RuntimeFailure(f"sandbox {handle.slug} is gone")
        self._let_run(sandbox)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        sandbox = self._find(handle)
        if sandbox is None:
            return
        if grace_s > 0:
            # Signal first, thaw second: it must not serve anyone between the two.
            sandbox.send(signal.SIGTERM)
            self._let_run(sandbox)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self.wait(handle)
        await self._end(sandbox)

    async def wait(self, handle: Handle) -> Exit:
        sandbox = self._find(handle)
        if sandbox is None:
            return Exit()
        assert sandbox.watch is not None
        how = await asyncio.shield(sandbox.watch.ended)
        async with sandbox.asking:
            if sandbox.how is None:
                oom = sandbox.cgroup is not None and sandbox.cgroup.saw_oom()
                # The main program is the sandbox: what it left behind serves nobody.
                sandbox.kill()
                if sandbox.parent is None:
                    known = self._read_exit(how)
                else:
                    known = await sandbox.parent.exit_of(handle.pid)
                sandbox.how = Exit(code=known.code, signal=known.signal, oom=oom)
        return sandbox.how

    async def inspect(self, handle: Handle) -> Inspection:
        sandbox = self._find(handle)
        if sandbox is None or not procfs.is_alive(Pid(handle.pid, handle.started)):
            return Inspection(alive=False)
        if sandbox.cgroup is not None:
            return Inspection(
                alive=True,
                frozen=sandbox.cgroup.is_frozen,
                cpu_s=sandbox.cgroup.cpu_s(),
                memory_bytes=sandbox.cgroup.memory_bytes(),
            )
        people = [found for pid in sandbox.actors() if (found := procfs.stat(pid.pid))]
        return Inspection(
            alive=True,
            frozen=bool(people) and all(person.state in "Tt" for person in people),
            cpu_s=sum(person.cpu_ticks for person in people) / procfs.TICKS_PER_S,
            memory_bytes=sum(person.resident_pages for person in people) * procfs.PAGE_BYTES,
        )

    async def sweep(self, keep: Collection[str]) -> list[str]:
        ended = []
        for slug in self._records:
            if slug in keep:
                continue
            record = self._records.read(slug)
            if record is None:
                self._records.remove(slug)
                continue
            await self._end(self._known.get(slug) or self._from(record))
            ended.append(slug)
        return ended

    def _prepare(self, sandbox: Sandbox, resources: Resources, owner: int | None) -> None:
        record = sandbox.record
        if self._tree is not None:
            record.cgroup = str(self._tree.at(record.slug).path)
        # Written before anything is made: whoever finds the record can end what there may be.
        self._records.write(record)
        record.directory.mkdir(parents=True, exist_ok=True)
        make_fifo(record.fifo, owner)
        if self._tree is not None:
            sandbox.cgroup = self._tree.create(record.slug, resources)

    def _find(self, handle: Handle) -> Sandbox | None:
        """This worker's, or one that an earlier worker left and that is still written down."""
        known = self._known.get(handle.slug)
        if known is not None:
            return known
        record = self._records.read(handle.slug)
        if record is None or record.handle is None:
            return None
        sandbox = self._known[handle.slug] = self._from(record)
        for port in record.ports:
            self._ports.hold(port)
        self._attend(sandbox, record.handle)
        return sandbox

    def _from(self, record: Record) -> Sandbox:
        if record.cgroup is None:
            return Sandbox(record=record, cgroup=None)
        path, known = Path(record.cgroup), self._tree.at(record.slug) if self._tree else None
        # Another tree than ours: an earlier worker stood elsewhere, or was another user.
        return Sandbox(
            record=record,
            cgroup=known if known and known.path == path else cgroups.Cgroup(path=path),
        )

    def _attend(self, sandbox: Sandbox, handle: Handle) -> None:
        record = sandbox.record
        with contextlib.suppress(FileNotFoundError):
            sandbox.pump = Pump(record.fifo, Ring(record.log, record.log_limit), slug=record.slug)
            sandbox.pump.start()
        sandbox.watch = Watch(Pid(handle.pid, handle.started))

    async def _stop_all(self, sandbox: Sandbox) -> None:
        # Those that hold the sandbox too: a program may write into the memory of its process 1.
        for _ in range(FREEZE_ROUNDS):
            running = [
                member
                for member in await in_thread(sandbox.members)
                if (found := procfs.stat(member.pid)) is not None and found.state not in "TtZX"
            ]
            if not running:
                return
            for member in running:
                procfs.send(member, signal.SIGSTOP)
            await asyncio.sleep(0.001)
        self._let_run(sandbox)
        raise RuntimeFailure("the sandbox did not freeze in time", retryable=True)

    def _let_run(self, sandbox: Sandbox) -> None:
        if sandbox.cgroup is not None:
            sandbox.cgroup.thaw()
        else:
            for member in sandbox.members():
                procfs.send(member, signal.SIGCONT)

    async def _end(self, sandbox: Sandbox) -> None:
        """Kill and clear away all of it. Finished even when cancelled: half an end leaks."""
        async with sandbox.ending:
            gone = False

            def kill() -> None:
                nonlocal gone
                _kill_until_gone(sandbox)
                gone = True

            try:
                await in_thread(kill)
            finally:
                # What is not gone keeps its record: a later stop or sweep tries again.
                if gone:
                    self._clear(sandbox)

    def _clear(self, sandbox: Sandbox) -> None:
        record = sandbox.record
        if sandbox.pump is not None:
            sandbox.pump.close()
        with contextlib.suppress(OSError):
            record.fifo.unlink()
        for port in record.ports:
            self._ports.release(port)
        self._records.remove(record.slug)
        self._known.pop(record.slug, None)


class OfSandboxes:
    """What the drivers that begin host processes answer alike: they keep no memory."""

    runtime: RuntimeClass
    _sandboxes: Sandboxes

    async def run(self) -> None:
        await asyncio.Event().wait()

    def expect(self, spec: SandboxSpec) -> None:
        """Starts as fast as it can anyway."""

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        return {}

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        raise RuntimeFailure(f"runtime class {self.runtime} keeps no memory: no image to restore")

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        raise RuntimeFailure(f"runtime class {self.runtime} cannot write an image of memory")

    async def freeze(self, handle: Handle) -> None:
        await self._sandboxes.freeze(handle)

    async def thaw(self, handle: Handle) -> None:
        await self._sandboxes.thaw(handle)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        await self._sandboxes.stop(handle, grace_s)

    async def wait(self, handle: Handle) -> Exit:
        return await self._sandboxes.wait(handle)

    async def inspect(self, handle: Handle) -> Inspection:
        return await self._sandboxes.inspect(handle)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        return await self._sandboxes.sweep(keep)


def _kill_until_gone(sandbox: Sandbox) -> None:
    give_up = time.monotonic() + END_WAIT_S
    pause_s = 0.0005
    # A cgroup may be busy for an instant after its last process went.
    while sandbox.kill() or not (sandbox.cgroup is None or sandbox.cgroup.remove()):
        if time.monotonic() > give_up:
            raise RuntimeFailure(f"processes of {sandbox.record.slug} do not end", retryable=True)
        time.sleep(pause_s)
        pause_s = min(0.05, pause_s * 2)
    if sandbox.watch is None:
        for root in sandbox.roots:
            # Never watched, so nobody else waits for it: ours would stay a zombie.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(root.pid, os.WNOHANG)
