"""The `gvisor` class: a kernel of its own in user space (runsc, systrap) around each actor.

The program's system calls are answered by that kernel, not by the host's, and all of it can be
written to an image and go on from there later, elsewhere: memory, processes, and the files it made
outside its durable directories. Linux, as root, with cgroup v2 and iproute2.
"""

import contextlib
import os
import platform
import shutil
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtimes import images, limits, netpair, oci, rootfs, runsc, trial, view
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
from runtimes.cgroups import Tree
from runtimes.cgroups_v1 import find_memory
from runtimes.environment import check_program, compose
from runtimes.ownership import give
from runtimes.procfs import Pid
from runtimes.seats import STATE, Seat, Seats
from runtimes.sittings import Sitting, Sittings
from runtimes.spawn import in_thread
from runtimes.stock import Box, Stock, move_in

_CHECKPOINT = "containerManager.Checkpoint"
WOKEN = signal.SIGURG
"""Sent to every process after a restore. Ignored by who does not ask for it."""


class Gvisor:
    """`hidden`: directories of rouse's own, covered where a working directory would show them."""

    runtime = RuntimeClass.GVISOR

    def __init__(
        self,
        root: Path,
        *,
        tree: Tree | None,
        hidden: Sequence[Path] = (),
        program: Path | None = None,
    ) -> None:
        self._root = root
        self._hidden = (root, *hidden)
        self._tree = tree
        self._program = program or runsc.find()
        self._features: tuple[str, ...] = ()
        self._fingerprint: Fingerprint | None = None
        self._is_laid = False
        self._is_memory_limited = False
        if tree is not None and self._program is not None:
            memory = None if "memory" in tree.controllers else find_memory()
            self._is_memory_limited = "memory" in tree.controllers or memory is not None
            self.seats = Seats(root=root, program=self._program, tree=tree, memory=memory)
            self._sittings = Sittings(root, self.seats)
            self.stock = Stock(self.seats, self._make_box)

    def capabilities(self) -> Capabilities:
        controllers = self._tree.controllers if self._tree is not None else frozenset()
        return Capabilities(
            scopes=(Scope.FULL, Scope.DATA),
            isolation=2,
            own_network=True,
            near=netpair.WORKER,
            survives_worker=True,
            roots=True,
            keeps=(
                "own kernel (systrap), mounts, processes and network; system read-only",
                "memory in snapshots; freeze by its own kernel, kill by cgroup",
                "memory by cgroup" if self._is_memory_limited else "no limit of memory",
                "cpu share by cgroup" if "cpu" in controllers else "no limit of CPU share",
            ),
            by_request=True,
        )

    async def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = await self._try_it()
        return self._fingerprint

    async def run(self) -> None:
        if (await self.fingerprint()).works:
            await self.stock.run()

    def expect(self, spec: SandboxSpec) -> None:
        self.stock.want(self._kind(spec), spec, soon=True)

    async def start(self, spec: SandboxSpec) -> Handle:
        laid = self.stock.seat()
        seat = laid or self.seats.new()
        async with self._sittings.starting(spec, seat) as sitting:
            main = await in_thread(lambda: self._create(spec, seat, is_laid=laid is not None))
            sitting.spec = spec
            self._sittings.attend(sitting, main)
            await self._sittings.begin(sitting)
            return self._sittings.keep(sitting, self._handle(spec, seat, main))

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        alike = oci.comparable(self._config(spec, self.seats.at("any")))
        return {
            "runtime": (str(self.runtime),),
            "version": (self._version(),),
            "platform": ("systrap",),
            "machine": (platform.machine(),),
            "processor": self._features,
            "system": (rootfs.system() if spec.root is None else spec.root.parent.name,),
            "sandbox": (rootfs.digest(msgspec.json.encode(alike)),),
        }

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        kind = self._kind(spec)
        box = await self.stock.take(kind)
        self.stock.want(kind, spec, soon=False)
        if box is None:
            return await self._restore(spec, image)
        try:
            if box.fits(spec):
                return await self._restore_in(box, spec, image)
            await in_thread(box.seat.remove)
        except RuntimeFailure:
            if box.lives:
                raise
        # It died while it stood ready, or in this very attempt.
        return await self._restore(spec, image)

    async def _restore(self, spec: SandboxSpec, image: Path) -> Handle:
        laid = self.stock.seat()
        seat = laid or self.seats.new()
        async with self._sittings.starting(spec, seat) as sitting:
            with images.opened(image) as files:
                main = await in_thread(lambda: self._create(spec, seat, is_laid=laid is not None))
                return await self._go_on(sitting, spec, main, files)

    async def _restore_in(self, box: Box, spec: SandboxSpec, image: Path) -> Handle:
        async with self._sittings.starting(spec, box.seat) as sitting:
            with images.opened(image) as files:
                await in_thread(lambda: self._move_in(spec, box))
                return await self._go_on(sitting, spec, box.main, files)

    async def _go_on(
        self, sitting: Sitting, spec: SandboxSpec, main: Pid, files: Sequence[int]
    ) -> Handle:
        sitting.spec = spec
        self._sittings.attend(sitting, main)
        await self._sittings.begin(sitting, files)
        await sitting.signal(WOKEN)
        return self._sittings.keep(sitting, self._handle(spec, sitting.seat, main))

    async def freeze(self, handle: Handle) -> None:
        await self._sittings.freeze(handle)

    async def thaw(self, handle: Handle) -> None:
        await self._sittings.thaw(handle)

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        sitting = self._sittings.get(handle)
        try:
            async with sitting.acting:
                await self._write_image(sitting, into)
        except BaseException:
            # Not under the lock: whoever wants it thawed waits for that.
            await in_thread(lambda: shutil.rmtree(into, ignore_errors=True))
            raise
        if sitting.spec is not None:
            # It goes to sleep, so it will be woken.
            self.stock.want(self._kind(sitting.spec), sitting.spec, soon=False)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        await self._sittings.stop(handle, grace_s)

    async def wait(self, handle: Handle) -> Exit:
        return await self._sittings.wait(handle)

    async def inspect(self, handle: Handle) -> Inspection:
        return await self._sittings.inspect(handle)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        return await self._sittings.sweep(keep, self.stock.names)

    async def _write_image(self, sitting: Sitting, into: Path) -> None:
        await in_thread(lambda: into.mkdir(mode=0o700, parents=True))
        with images.fresh(into) as files:
            await self._sittings.pause(sitting)
            await sitting.call(_CHECKPOINT, images.SAVE, files)

    def _create(self, spec: SandboxSpec, seat: Seat, *, is_laid: bool) -> Pid:
        env = self._environment(spec)
        check_program(spec, env["PATH"])
        self._lay_root()
        if not is_laid:
            seat.lay()
        for directory in spec.durable.values():
            give(directory, _user(spec))
        self._tell(spec, seat, env)
        return seat.create(self._config(spec, seat), spec.resources)

    def _make_box(self, spec: SandboxSpec, seat: Seat) -> Box:
        """As for the spec, with directories of its own in place of the actor's."""
        self._lay_root()
        durable = {}
        for number, declared in enumerate(spec.durable):
            durable[declared] = seat.directory / f"durable-{number}"
            durable[declared].mkdir(mode=0o700)
            give(durable[declared], _user(spec))
        spec = msgspec.structs.replace(spec, durable=durable)
        main = seat.create(self._config(spec, seat), spec.resources)
        return Box(seat=seat, main=main, durable=durable)

    def _move_in(self, spec: SandboxSpec, box: Box) -> None:
        for declared, files in spec.durable.items():
            give(files, _user(spec))
            move_in(files, box.durable[declared])
        self._tell(spec, box.seat, self._environment(spec))

    def _kind(self, spec: SandboxSpec) -> str:
        """Equal for specs that can take each other's empty sandbox."""
        config = self._config(spec, self.seats.at("any"))
        return rootfs.digest(
            msgspec.json.encode((oci.comparable(config), str(spec.root), spec.resources))
        )

    def _lay_root(self) -> None:
        if not self._is_laid:
            rootfs.make(self._base)
            self._is_laid = True

    @property
    def _base(self) -> Path:
        """The root of every sandbox here, another one when the host's system is another."""
        return self._root / f"rootfs-{rootfs.system()}"

    def _tell(self, spec: SandboxSpec, seat: Seat, env: Mapping[str, str]) -> None:
        """Who the actor is now: what a program that was restored finds nowhere else anew."""
        about = {
            "actor": spec.actor,
            "uid": spec.uid,
            "epoch": spec.epoch,
            "env": env,
        }
        (seat.about / "actor.json").write_bytes(msgspec.json.encode(about))

    def _environment(self, spec: SandboxSpec) -> dict[str, str]:
        data = list(spec.durable)
        return compose(
            actor=spec.actor,
            # Nothing from outside reaches its loopback, and many programs ask HOST where to listen.
            given={"HOST": "0.0.0.0", **spec.env},
            ports=spec.ports,
            data=data,
            home=data[0] if data else "/tmp",
            temporary="/tmp",
        )

    def _config(self, spec: SandboxSpec, seat: Seat) -> dict[str, Any]:
        places = [*spec.read_only]
        system: list[view.Shown] = []
        if spec.root is None:
            places += [*view.python(), *([spec.working_dir] if spec.working_dir else [])]
            system = [view.Shown(path, path, ()) for path in rootfs.directories()]
        given = [view.Shown(path, path, ()) for path in spec.shown]
        hidden = [*self._hidden, spec.directory.parent]
        return oci.config(
            root=spec.root or self._base,
            command=spec.command,
            env=self._environment(spec),
            cwd=str(spec.working_dir or next(iter(spec.durable), "/tmp")),
            user=_user(spec),
            mounts=oci.mounts(
                [*system, *view.shown(places, hidden), *given],
                spec.durable,
                seat.about,
                spec.resources.memory_bytes,
            ),
            netns=seat.pair.actor_path,
            limits=limits.wanted(
                spec.resources,
                own_user=True,
                memory=not self._is_memory_limited,
            ),
        )

    def _handle(self, spec: SandboxSpec, seat: Seat, main: Pid) -> Handle:
        where = netpair.inode(seat.pair)
        return Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=main.pid,
            started=main.started,
            endpoints={
                name: Endpoint(
                    host=netpair.ACTOR,
                    port=port,
                    declared=port,
                    netns=where,
                    netns_path=str(seat.pair.worker_path),
                )
                for name, port in spec.ports.items()
            },
            cgroup=str(seat.cgroup.path),
            directory=spec.directory,
        )

    def _version(self) -> str:
        return self._fingerprint.version if self._fingerprint is not None else ""

    async def _try_it(self) -> Fingerprint:
        if lacks := self._lacks():
            return Fingerprint(works=False, why_not=lacks)
        program = self.seats.program
        kept = await in_thread(lambda: _Kept.read(program))
        if kept is not None:
            self._features = kept.features
            return Fingerprint(works=True, version=kept.version)
        try:
            version, features = await in_thread(lambda: _ask(program))
        except RuntimeFailure as error:
            return Fingerprint(works=False, why_not=str(error))
        self._features = features
        if why_not := await trial.fails(self, self._root):
            return Fingerprint(works=False, version=version, why_not=why_not)
        await in_thread(lambda: _Kept(version=version, features=features).write(program))
        return Fingerprint(works=True, version=version)

    def _lacks(self) -> str:
        if sys.platform != "linux":
            return "gVisor needs Linux"
        if self._program is None:
            return runsc.HOW_TO_GET_IT
        if os.geteuid() != 0:
            return "the worker must be root: it makes a network for each actor"
        if self._tree is None:
            return "needs a writable cgroup2 tree"
        return ""


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """That this very program was tried and works, until the machine starts anew: a worker's start
    need not wait for a sandbox each time."""

    version: str
    features: tuple[str, ...]

    @staticmethod
    def place(program: Path) -> Path:
        about = program.stat()
        mark = rootfs.digest(f"{program} {about.st_size} {about.st_mtime_ns}".encode())
        return STATE.parent / f"works-{mark}.json"

    @classmethod
    def read(cls, program: Path) -> "_Kept | None":
        try:
            return msgspec.json.decode(cls.place(program).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return None

    def write(self, program: Path) -> None:
        with contextlib.suppress(OSError):
            self.place(program).write_bytes(msgspec.json.encode(self))


def _ask(program: Path) -> tuple[str, tuple[str, ...]]:
    """Version, and what the processor has that a program may have come to rely on."""
    version = runsc.ask([program, "--version"]).splitlines()[0].rpartition(" ")[2]
    features = runsc.ask([program, "cpu-features"])
    return version, tuple(sorted(features.replace(",", " ").split()))


def _user(spec: SandboxSpec) -> int:
    return rootfs.USER if spec.user is None else spec.user
