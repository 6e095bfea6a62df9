"""The `microvm` class: a machine of its own around each actor, with a kernel of its own.

A monitor (QEMU) runs the machine, by the processor where that can and emulated elsewhere. All of it
can be written to an image and go on from there, elsewhere: memory, processes, and the files it made
outside its durable directories. Every start goes on from one image too, of a machine that has just
booted: that is made once. Linux, as root, with cgroup v2 and iproute2.
"""

import asyncio
import contextlib
import os
import platform
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtimes import booted, guestcall, guestplan, kernel, rootfs, tap, trial, view
from runtimes.base import (
    Capabilities,
    Endpoint,
    Exit,
    Fingerprint,
    Handle,
    Inspection,
    RuntimeClass,
    RuntimeFailure,
    SandboxSpec,
    Scope,
)
from runtimes.booted import Booted
from runtimes.cgroups import Tree
from runtimes.cgroups_v1 import find_memory
from runtimes.environment import check_program
from runtimes.firecracker import Firecracker
from runtimes.kernel import Kernel
from runtimes.machines import FILES, Machine, Machines
from runtimes.ownership import give
from runtimes.qemu import Qemu
from runtimes.spawn import in_thread
from runtimes.vmm import MEMORY, STATE, Guest, Vmm
from runtimes.vmseats import VmSeat, VmSeats

HOW_TO_GET_IT = "no guest kernel: run scripts/install-microvm"


class Microvm:
    """`hidden`: directories of rouse's own, covered where a working directory would show them."""

    runtime = RuntimeClass.MICROVM

    def __init__(
        self,
        root: Path,
        *,
        tree: Tree | None,
        hidden: Sequence[Path] = (),
        vmm: Vmm | None = None,
        boots: Kernel | None = None,
    ) -> None:
        self._root = root
        self._hidden = (root, *hidden)
        self._tree = tree
        self.vmm = vmm or Qemu()
        self._kernel = boots or kernel.find()
        self._fingerprint: Fingerprint | None = None
        self._is_laid = False
        if tree is not None:
            memory = None if "memory" in tree.controllers else find_memory()
            self.seats = VmSeats(root=root, tree=tree, memory=memory)
            self.machines = Machines(root, self.seats, self.vmm)
            self.booted = Booted(self.seats, self.vmm)

    def capabilities(self) -> Capabilities:
        controllers = self._tree.controllers if self._tree is not None else frozenset()
        return Capabilities(
            scopes=(Scope.FULL, Scope.DATA),
            isolation=3,
            own_network=True,
            near=tap.WORKER,
            survives_worker=True,
            keeps=(
                self.vmm.keeps(),
                "own machine and kernel; system read-only; monitor without rights, in seccomp",
                "memory in snapshots, and by the machine's size; freeze and kill by cgroup",
                "cpu share by cgroup" if "cpu" in controllers else "no limit of CPU share",
            ),
            by_request=True,
            by_name=self.vmm.is_emulated,
        )

    async def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = await self._try_it()
        return self._fingerprint

    async def run(self) -> None:
        # Nothing is kept ready: a start goes on from an image as it is.
        await asyncio.Event().wait()

    def expect(self, spec: SandboxSpec) -> None:
        pass

    async def start(self, spec: SandboxSpec) -> Handle:
        env = guestplan.environment(spec)
        check_program(spec, env["PATH"])
        booted = await self.booted.image(self._guest(spec))
        async with self._begun(spec, booted) as machine:
            await guestcall.call(
                machine.seat.tap,
                "start",
                **guestcall.afresh(),
                about=guestplan.about(spec, env),
                start=guestplan.plan(spec, env, self._shares(spec), self._shown(spec)),
            )
            return self.machines.keep(machine, self._handle(spec, machine))

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        plan = guestplan.plan(spec, {}, self._shares(spec), self._shown(spec))
        alike = {name: plan[name] for name in ("command", "cwd", "links", "limits", "user")}
        places = sorted((each["place"], each["write"]) for each in plan["mounts"])
        return {
            "runtime": (str(self.runtime),),
            **self.vmm.terms(),
            "machine": (platform.machine(), f"{guestplan.memory_bytes(spec) >> 20} MiB"),
            "kernel": (self.booted.kind,),
            "system": (rootfs.system(),),
            "sandbox": (rootfs.digest(msgspec.json.encode((alike, places))),),
        }

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        missing = [name for name in (STATE, MEMORY, FILES) if not (image / name).is_file()]
        if missing:
            raise RuntimeFailure(f"the image's {missing[0]} cannot be read")
        async with self._begun(spec, image) as machine:
            await guestcall.call(
                machine.seat.tap,
                "resume",
                **guestcall.afresh(),
                about=guestplan.about(spec, guestplan.environment(spec)),
                woken=True,
            )
            return self.machines.keep(machine, self._handle(spec, machine))

    async def freeze(self, handle: Handle) -> None:
        await self.machines.freeze(handle)

    async def thaw(self, handle: Handle) -> None:
        await self.machines.thaw(handle)

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        await self.machines.write_image(handle, into)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        await self.machines.stop(handle, grace_s)

    async def wait(self, handle: Handle) -> Exit:
        return await self.machines.wait(handle)

    async def inspect(self, handle: Handle) -> Inspection:
        return await self.machines.inspect(handle)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        return await self.machines.sweep(keep, self.booted.names)

    @contextlib.asynccontextmanager
    async def _begun(self, spec: SandboxSpec, image: Path) -> AsyncIterator[Machine]:
        """A machine that goes on from the image, with its attendant, and can be called."""
        guest = self._guest(spec)
        seat = self.seats.new()
        async with self.machines.starting(spec, seat) as machine:
            await in_thread(lambda: self._prepare(spec, seat, guest))
            orders = await in_thread(lambda: self._orders(spec, seat, image))
            self.machines.began(machine, await self.vmm.begin(seat.room, guest, seat.launch, image))
            self.machines.began(machine, await in_thread(lambda: seat.attend(orders)))
            self.machines.attend(machine)
            await self.vmm.resume(seat.room)
            await booted.until_it_listens(seat, lambda: machine.lives)
            yield machine

    def _prepare(self, spec: SandboxSpec, seat: VmSeat, guest: Guest) -> None:
        if not self._is_laid:
            rootfs.make(self._base)
            self._is_laid = True
        for directory in spec.durable.values():
            give(directory, rootfs.USER)
        seat.lay(guest.memory_bytes, spec.resources)

    def _orders(self, spec: SandboxSpec, seat: VmSeat, image: Path) -> dict[str, Any]:
        try:
            files = msgspec.json.decode((image / FILES).read_bytes())
        except msgspec.DecodeError as error:
            raise RuntimeFailure(f"the image's {FILES} is damaged") from error
        return {
            "netns": str(seat.tap.path),
            "shares": [(str(each.real), each.may_write) for each in self._shares(spec)],
            "output": str(seat.fifo),
            "exited": str(seat.exited),
            "control": str(seat.control),
            "user": rootfs.USER,
            "files": files,
        }

    def _guest(self, spec: SandboxSpec) -> Guest:
        return Guest(kernel=self._kernel_here(), memory_bytes=guestplan.memory_bytes(spec))

    def _shown(self, spec: SandboxSpec) -> list[view.Shown]:
        return guestplan.shown(spec, self._hidden)

    def _shares(self, spec: SandboxSpec) -> list[guestplan.Shared]:
        return guestplan.shares(spec, self._base, self._shown(spec))

    def _handle(self, spec: SandboxSpec, machine: Machine) -> Handle:
        seat = machine.seat
        pid, started = machine.record.roots[0]
        where = tap.inode(seat.tap)
        return Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=pid,
            started=started,
            endpoints={
                name: Endpoint(
                    host=tap.GUEST,
                    port=port,
                    declared=port,
                    netns=where,
                    netns_path=str(seat.tap.path),
                )
                for name, port in spec.ports.items()
            },
            cgroup=str(seat.cgroup.path),
            directory=spec.directory,
        )

    @property
    def _base(self) -> Path:
        return self._root / f"rootfs-{rootfs.system()}"

    def _kernel_here(self) -> Kernel:
        if self._kernel is None:
            raise RuntimeFailure(HOW_TO_GET_IT)
        return self._kernel

    async def _try_it(self) -> Fingerprint:
        if why_not := self._lacks() or await in_thread(self.vmm.lacks):
            return Fingerprint(works=False, why_not=why_not)
        boots, version = self._kernel_here(), self.vmm.keeps()
        await in_thread(lambda: self.booted.know(boots))
        if not self.booted.is_tried():
            if why_not := await trial.fails(self, self._root):
                return Fingerprint(works=False, version=version, why_not=why_not)
            self.booted.tried()
        return Fingerprint(works=True, version=version)

    def _lacks(self) -> str:
        if sys.platform != "linux":
            return "microvm needs Linux"
        if os.geteuid() != 0:
            return "the worker must be root: it makes a network for each actor"
        if self._tree is None:
            return "needs a writable cgroup2 tree"
        if not tap.TUN.exists():
            return f"no {tap.TUN}: a machine's network needs it"
        return "" if self._kernel is not None else HOW_TO_GET_IT


def monitor() -> Vmm:
    """The one that this machine has: QEMU first, which is the one that was really run. Blocks."""
    known: tuple[Vmm, ...] = (Qemu(), Firecracker())
    return next((each for each in known if not each.lacks()), known[0])
