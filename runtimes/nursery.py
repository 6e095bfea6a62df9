"""The zygotes of one driver: one per kind of actor, begun when needed, replaced when they are old.

A zygote is a sandbox of its own, with a record, a cgroup and a log, and never anything of an actor
in it. Who needs one that is not there waits until it has imported everything, which is what a plain
start would have cost; from then on actors of its kind are forks of it.
"""

import asyncio
import contextlib
import functools
import hashlib
import os
import shutil
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from runtimes.base import Handle, Resources, RuntimeFailure, SandboxSpec
from runtimes.cgroups import Tree
from runtimes.environment import search_path
from runtimes.interpreter import NotPython, parse
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.sandboxes import Sandbox, Sandboxes
from runtimes.spawn import in_thread
from runtimes.zygote import Stale, Zygote, environment_room

MOST = 8
"""Zygotes that a driver keeps; beyond, the one that forked least lately goes."""
MOST_FORKS = 1000
"""Of one parent. Memory that is never renewed gathers what one child can learn of its siblings'
(addresses, the hash seed)."""
IDLE_S = 900.0
MEMORY_BYTES = 512 << 20
"""For one whose template limits no memory."""
IMPORT_S = 60.0
_TIDY_S = 30.0
_TRIES = 3
"""Files may be changing just now, or a parent may have died."""

Began = Callable[[Pid], None]
Begin = Callable[[SandboxSpec, Sandbox, socket.socket, Began], Awaitable[tuple[Pid, Handle]]]
"""Starts the program of a zygote (cradle) with its end of the control line, and tells of each
process as soon as there is one: the zygote's own, and the handle of its sandbox."""


class _Cradle(msgspec.Struct, kw_only=True):
    """A place for the zygote of one kind."""

    turn: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    zygote: Zygote | None = None


class Nursery:
    """`<Nursery 2 kinds>`"""

    def __init__(
        self,
        root: Path,
        begin: Begin,
        *,
        tree: Tree | None,
        ports: Ports,
    ) -> None:
        self._root = root
        self._begin = begin
        self.most = MOST
        self.most_forks = MOST_FORKS
        self._sandboxes = Sandboxes(root, tree=tree, ports=ports, alone=True)
        self._kinds: dict[str, _Cradle] = {}
        self._handles: dict[Zygote, Handle] = {}

    def __repr__(self) -> str:
        return f"<Nursery {len(self._kinds)} kinds>"

    async def run(self) -> None:
        """Clears away what ended or was not needed for long; at its end, everything."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(_TIDY_S)
                for kind in list(self._kinds.values()):
                    zygote = kind.zygote
                    if zygote is not None and loop.time() - zygote.used_at > IDLE_S:
                        self._retire(kind)
                await self._clear()
                for key, kind in list(self._kinds.items()):
                    if kind.zygote is None and not kind.turn.locked():
                        del self._kinds[key]
        finally:
            await self.close()

    async def fork(self, spec: SandboxSpec) -> tuple[Zygote, socket.socket]:
        """A child that waits to be told who it is, and its line. Raises RuntimeFailure."""
        key = kind_of(spec)
        kind = self._kinds.setdefault(key, _Cradle())
        async with kind.turn:
            for _ in range(_TRIES):
                zygote = await self._zygote(kind, key, spec)
                try:
                    line = await zygote.fork()
                except Stale:
                    self._retire(kind)
                    continue
                except RuntimeFailure:
                    if zygote.is_alive:
                        raise
                    continue  # it died a moment ago: as if it had not been there
                return zygote, line
        raise RuntimeFailure("its parent changes all the time", retryable=True)

    async def sweep(self) -> None:
        """End what earlier workers left: a zygote serves the worker that began it alone."""
        await self._clear()
        await self._sandboxes.sweep({handle.slug for handle in self._handles.values()})

    async def close(self) -> None:
        for kind in self._kinds.values():
            kind.zygote = None
        for zygote in list(self._handles):
            zygote.close()
        await self._clear()

    async def _zygote(self, kind: _Cradle, key: str, spec: SandboxSpec) -> Zygote:
        zygote = kind.zygote
        if zygote is not None and zygote.is_alive and zygote.forked < self.most_forks:
            return zygote
        self._retire(kind)
        await self._clear()
        self._make_room()
        kind.zygote = await self._start(key, spec)
        return kind.zygote

    def _make_room(self) -> None:
        used = sorted(
            (kind for kind in self._kinds.values() if kind.zygote is not None),
            key=lambda kind: kind.zygote.used_at if kind.zygote is not None else 0.0,
        )
        for kind in used[: max(0, len(used) + 1 - self.most)]:
            self._retire(kind)

    def _retire(self, kind: _Cradle) -> None:
        zygote, kind.zygote = kind.zygote, None
        if zygote is not None:
            with contextlib.suppress(RuntimeFailure):
                zygote.retire()

    async def _start(self, key: str, spec: SandboxSpec) -> Zygote:
        preload = spec.preload
        assert preload is not None
        try:
            command = parse(spec.command)
        except NotPython as error:
            raise RuntimeFailure(f"cannot preload for this command: {error}") from error
        uid = f"{key}-{os.urandom(4).hex()}"
        place = self._root / uid
        parent = SandboxSpec(
            actor=preload.template,
            uid=uid,
            epoch=0,
            directory=place,
            command=(command.interpreter, *command.flags),
            working_dir=spec.working_dir,
            env={**environment_room(), "PATH": search_path(), **preload.env},
            ports={},
            durable={},
            resources=Resources(
                memory_bytes=spec.resources.memory_bytes or MEMORY_BYTES,
                cpu=None,
                pids=spec.resources.pids,
            ),
            read_only=spec.read_only,
            log=place / "log",
        )
        mine, theirs = socket.socketpair()
        zygote: Zygote | None = None
        try:
            with theirs:
                async with self._sandboxes.starting(parent) as sandbox:
                    began = functools.partial(self._sandboxes.began, sandbox)
                    process, handle = await self._begin(parent, sandbox, theirs, began)
                    self._sandboxes.keep(sandbox, handle)
            zygote = Zygote(preload.template, mine, process)
            self._handles[zygote] = handle
            zygote.used_at = asyncio.get_running_loop().time()
            zygote.begin(
                {
                    "modules": preload.modules,
                    "command": spec.command,
                    "module": command.module,
                    "arguments": command.arguments,
                    "cwd": str(_start_in(spec)),
                }
            )
            async with asyncio.timeout(IMPORT_S):
                await asyncio.shield(zygote.ready)
            if why_not := zygote.why_not_forkable():
                # Once is enough: from here on nothing runs in it but its loop.
                raise RuntimeFailure(
                    f"what {preload.template} preloads cannot be forked: {why_not}"
                )
        except BaseException as error:
            if zygote is None:
                mine.close()
            else:
                zygote.close()
                await self._clear()
            if isinstance(error, TimeoutError):
                raise RuntimeFailure(
                    f"{preload.template} did not preload within {IMPORT_S:g} s"
                ) from error
            raise
        return zygote

    async def _clear(self) -> None:
        """What ended is to leave nothing."""
        for zygote in [zygote for zygote in self._handles if not zygote.is_alive]:
            # Popped first: another may clear at the same time.
            if (handle := self._handles.pop(zygote, None)) is not None:
                await self._sandboxes.stop(handle, 0)
                await in_thread(lambda: shutil.rmtree(handle.directory, ignore_errors=True))


def _start_in(spec: SandboxSpec) -> Path:
    return spec.working_dir or Path("/")


def kind_of(spec: SandboxSpec) -> str:
    """Actors of equal kind are forks of one parent: all that its memory may depend on."""
    told = (spec.preload, spec.command, str(spec.working_dir), spec.resources, spec.read_only)
    told_as = msgspec.json.encode(told, enc_hook=str)
    return f"zygote-{hashlib.blake2b(told_as, digest_size=8).hexdigest()}"
