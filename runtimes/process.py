"""The `process` class: a plain child of the worker. For trusted code, development and macOS."""

import os
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from runtimes import cradle, limits, procfs
from runtimes.base import (
    Capabilities,
    Endpoint,
    Fingerprint,
    Handle,
    RuntimeClass,
    SandboxSpec,
    Scope,
)
from runtimes.cgroups import Tree
from runtimes.delivery import deliver
from runtimes.environment import compose
from runtimes.logs import open_for_actor
from runtimes.nursery import Began, Nursery
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.sandboxes import OfSandboxes, Sandbox, Sandboxes
from runtimes.spawn import in_thread, spawn

JOIN_ROUNDS = 20
"""How often to look for children that a program forked before we had moved it."""


class Process(OfSandboxes):
    """No isolation: it sees what the worker's user sees. Its port is one of the machine's own
    (PORT says which), its durable directory is where ROUSE_DATA says, not at its declared path."""

    runtime = RuntimeClass.PROCESS

    def __init__(self, root: Path, *, tree: Tree | None, ports: Ports) -> None:
        self._tree = tree
        self._ports = ports
        self._sandboxes = Sandboxes(root, tree=tree, ports=ports)
        self.nursery = Nursery(root / "zygotes", self._begin_parent, tree=tree, ports=ports)
        self._fingerprint: Fingerprint | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities(
            scopes=(Scope.DATA,),
            isolation=0,
            own_network=False,
            survives_worker=True,
            preload_lacks="" if sys.platform == "linux" else "forking from a parent needs Linux",
            keeps=_keeps(self._tree),
        )

    async def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            works = os.name == "posix"
            self._fingerprint = Fingerprint(
                works=works,
                version=sys.platform,
                why_not="" if works else "needs a POSIX system",
            )
        return self._fingerprint

    async def run(self) -> None:
        await self.nursery.run()

    async def sweep(self, keep: Collection[str]) -> list[str]:
        await self.nursery.sweep()
        return await super().sweep(keep)

    async def start(self, spec: SandboxSpec) -> Handle:
        async with self._sandboxes.starting(spec) as sandbox:
            ports = {}
            for name in spec.ports:
                ports[name] = self._ports.take()
                sandbox.record.ports.append(ports[name])
            if spec.preload is None:
                main = await in_thread(lambda: self._launch(spec, sandbox, ports))
            else:
                zygote, line = await self.nursery.fork(spec)
                with line:
                    main = await in_thread(lambda: self._deliver(spec, sandbox, ports, line))
                zygote.born(main.pid)
                sandbox.parent = zygote
            return self._sandboxes.keep(
                sandbox,
                Handle(
                    runtime=self.runtime,
                    actor=spec.actor,
                    uid=spec.uid,
                    epoch=spec.epoch,
                    pid=main.pid,
                    started=main.started,
                    endpoints={
                        name: Endpoint(host="127.0.0.1", port=port, declared=spec.ports[name])
                        for name, port in ports.items()
                    },
                    cgroup=sandbox.record.cgroup,
                    directory=spec.directory,
                ),
            )

    async def _begin_parent(
        self, spec: SandboxSpec, sandbox: Sandbox, control: socket.socket, began: Began
    ) -> tuple[Pid, Handle]:
        env = {"HOME": str(spec.directory), "LANG": "C.UTF-8", "TMPDIR": str(spec.directory)}

        def launch() -> Pid:
            output = open_for_actor(sandbox.record.fifo)
            try:
                pid = spawn(
                    (*spec.command, cradle.__file__, str(control.fileno())),
                    env={**env, **spec.env},
                    cwd=spec.working_dir or Path("/"),
                    output=output,
                    keep=(control.fileno(),),
                )
            finally:
                os.close(output)
            main = procfs.identify(pid)
            began(main)
            limits.apply(main.pid, self._bounds(spec))
            return main

        main = await in_thread(launch)
        return main, Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=main.pid,
            started=main.started,
            endpoints={},
            cgroup=sandbox.record.cgroup,
            directory=spec.directory,
        )

    def _deliver(
        self, spec: SandboxSpec, sandbox: Sandbox, ports: dict[str, int], line: socket.socket
    ) -> Pid:
        output = open_for_actor(sandbox.record.fifo)
        try:
            return deliver(
                line,
                output=output,
                env=self._environment(spec, ports),
                cwd=spec.working_dir or spec.directory,
                inside=None,
                began=lambda process: self._sandboxes.began(sandbox, process, adopted=True),
                at_gate=lambda pid: limits.apply(pid, self._bounds(spec)),
            )
        finally:
            os.close(output)

    def _environment(self, spec: SandboxSpec, ports: dict[str, int]) -> dict[str, str]:
        temporary = spec.directory / "tmp"
        temporary.mkdir(exist_ok=True)
        data = [str(path) for path in spec.durable.values()]
        return compose(
            actor=spec.actor,
            given=spec.env,
            ports=ports,
            data=data,
            home=data[0] if data else str(spec.directory),
            temporary=str(temporary),
        )

    def _bounds(self, spec: SandboxSpec) -> dict[int, int]:
        return limits.wanted(
            spec.resources,
            own_user=False,
            memory=self._tree is None or "memory" not in self._tree.controllers,
        )

    def _launch(self, spec: SandboxSpec, sandbox: Sandbox, ports: dict[str, int]) -> Pid:
        output = open_for_actor(sandbox.record.fifo)
        try:
            pid = spawn(
                spec.command,
                env=self._environment(spec, ports),
                cwd=spec.working_dir or spec.directory,
                output=output,
            )
        finally:
            os.close(output)
        main = procfs.identify(pid)
        self._sandboxes.began(sandbox, main)
        self._confine(sandbox, main, self._bounds(spec))
        return main

    def _confine(self, sandbox: Sandbox, main: Pid, bounds: dict[int, int]) -> None:
        # It runs already: a shell in between that joins the cgroup first would leave its traces
        # in the environment. Children inherit both, so only those of the first instant are looked
        # for. `process` is for trusted code; nobody is in a hurry to escape.
        limits.apply(main.pid, bounds)
        new, done = procfs.children(main), {main}
        for _ in range(JOIN_ROUNDS):
            if not new:
                return
            for member in new:
                if sandbox.cgroup is not None:
                    sandbox.cgroup.join(member.pid)
                limits.apply(member.pid, bounds)
            done |= new
            new = {child for parent in done for child in procfs.children(parent)} - done


def _keeps(tree: Tree | None) -> tuple[str, ...]:
    if tree is None:
        return ("memory per process by resource limit", "no limit of CPU share or of processes")
    kept = [f"{name} by cgroup" for name in sorted(tree.controllers)]
    if "memory" not in tree.controllers:
        kept.append("memory per process by resource limit")
    missing = sorted({"cpu", "pids"} - tree.controllers)
    return (*kept, *(f"no limit of {name}" for name in missing), "freeze and kill by cgroup")
