"""The seam to a sandbox: what a driver is asked, what it answers, and what it promises.

Everything a driver makes (processes, cgroups, namespaces, directories) carries the sandbox's
`slug` in its name, so that what a dead worker left behind can be found and ended by name.
"""

import socket
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec


class RuntimeClass(StrEnum):
    PROCESS = "process"
    BUBBLEWRAP = "bubblewrap"
    GVISOR = "gvisor"
    MICROVM = "microvm"


MEMORY_CLASSES = frozenset({RuntimeClass.GVISOR, RuntimeClass.MICROVM})
"""Those whose snapshots may hold memory; a driver's capabilities say whether they do here."""


class Scope(StrEnum):
    """What a snapshot by this runtime holds."""

    FULL = "full"
    """Memory and files."""
    DATA = "data"
    """The durable directories only; the program starts anew."""


def path_out(value: object) -> str:
    """`enc_hook` for records with paths: msgspec knows none by itself."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is not part of a record")


def path_in(wanted: type, value: object) -> Path:
    """`dec_hook` for records with paths."""
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"{wanted.__name__} is not part of a record")


class RuntimeFailure(Exception):
    """The driver could not do what it was asked; `retryable`: asking again may help."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    memory_bytes: int | None = None
    cpu: float | None = None
    """Cores; 0.5 is half of one."""
    pids: int | None = None


class Preload(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent has imported before the actor is forked from it; nothing of the actor's."""

    template: str
    """`namespace/name`: actors of different templates never share a parent."""
    modules: tuple[str, ...]
    env: Mapping[str, str]
    """What the template says of the environment."""


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All a driver needs to start one copy of an actor."""

    actor: str
    """`namespace/name`, for logs and for the program's environment."""
    uid: str
    epoch: int
    directory: Path
    """An empty directory of this copy alone; the driver may put what it needs there."""
    command: tuple[str, ...]
    working_dir: Path | None
    """Where the program starts: a directory of the host, visible read-only in a sandbox."""
    env: Mapping[str, str]
    """The program's whole environment beside what the driver adds (PORT, ROUSE_DATA, ...)."""
    ports: Mapping[str, int]
    """Declared ports by name, the main one first. A driver without its own network may give
    others: PORT and PORT_<NAME> tell the program."""
    durable: Mapping[str, Path]
    """Declared path (`/data`) -> directory of the host that holds its files."""
    root: Path | None = None
    """An unpacked image, only read: the program's whole system in place of the host's. Command,
    working directory and PATH are then of it."""
    user: int | None = None
    """Of the image; a driver whose actors have one user id for all takes that."""
    read_only: tuple[Path, ...] = ()
    """Further directories of the host to show read-only, at the same path."""
    shown: tuple[Path, ...] = ()
    """Directories of rouse's own that are for actors to read, at the same path."""
    resources: Resources = Resources()
    preload: Preload | None = None
    """Fork it from such a parent; None: start it anew."""
    log: Path
    """File that gets stdout and stderr; the driver keeps it under `log_limit`."""
    log_limit: int = 1_000_000
    """Bytes; beyond, the oldest output goes."""

    @property
    def slug(self) -> str:
        return f"rouse-{self.uid}-{self.epoch}"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one port of a sandbox can be reached from the worker."""

    host: str
    port: int
    declared: int
    """The port's number in the template; `port` differs where the driver has no own network."""
    netns_pid: int | None = None
    """A process whose network namespace the socket must be made in; None: the worker's own."""
    netns: int | None = None
    """Inode of that namespace: a pid that was given away since must not lead to a stranger."""
    netns_path: str | None = None
    """Where the namespace has a name in place of a process: a file that holds it open."""

    @property
    def sockaddr(self) -> tuple[str, int]:
        return (self.host, self.port)

    @property
    def has_own_network(self) -> bool:
        return self.netns_pid is not None or self.netns_path is not None

    def open_socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A non-blocking, unconnected TCP (or UDP) socket in the right network namespace.

        Never blocks, so the event loop may call it. Raises OSError when the sandbox is gone.
        """
        # Drivers without a namespace never load it.
        from runtimes.netns import socket_at, socket_in

        if self.netns_path is not None:
            made = socket_at(self.netns_path, self.netns, kind)
        elif self.netns_pid is not None:
            made = socket_in(self.netns_pid, self.netns, kind)
        else:
            made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    """A running sandbox, as plain data: a restarted worker finds it again by this."""

    runtime: RuntimeClass
    actor: str
    uid: str
    epoch: int
    pid: int
    """The process whose end is the sandbox's end."""
    started: int
    """Start time of `pid` in ticks since boot (proc_pid_stat(5), field 22): pids are reused."""
    endpoints: Mapping[str, Endpoint]
    """By port name."""
    cgroup: str | None = None
    directory: Path

    @property
    def slug(self) -> str:
        return f"rouse-{self.uid}-{self.epoch}"

    def to_json(self) -> bytes:
        return msgspec.json.encode(self, enc_hook=path_out)

    @classmethod
    def from_json(cls, data: bytes) -> "Handle":
        return msgspec.json.decode(data, type=cls, dec_hook=path_in)


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a sandbox ended: an exit code, a signal, or neither when not known (re-attached)."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False

    def __str__(self) -> str:
        if self.oom:
            return "killed: out of memory"
        if self.signal is not None:
            return f"killed by signal {self.signal}"
        return "ended, status unknown" if self.code is None else f"exited with status {self.code}"


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    alive: bool
    frozen: bool = False
    cpu_s: float = 0.0
    """CPU time used so far by all processes of the sandbox."""
    memory_bytes: int = 0


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What this driver can do on this machine; ask this, never the driver's type."""

    scopes: tuple[Scope, ...]
    isolation: int
    """0 none, 1 namespaces of the host kernel, 2 own kernel, 3 own machine: `auto` takes most."""
    own_network: bool
    near: str = "127.0.0.1"
    """In a network of its own: where the actor reaches what listens on the worker's side of it, in
    the namespace that its endpoints lead to."""
    survives_worker: bool
    """Sandboxes outlive the worker's process and can be re-attached by handle."""
    keeps: tuple[str, ...]
    """What isolation holds here, in words for `rouse doctor` and the log."""
    preload_lacks: str = "it starts every program anew"
    """Why it cannot fork actors from a parent that has preloaded modules; empty: it can."""
    roots: bool = False
    """It can run a program in an image's root (SandboxSpec.root)."""
    by_request: bool = False
    """`auto` takes it only for a template that requires what no other class here has."""
    by_name: bool = False
    """`auto` never takes it: it works here, and so slowly that it must be asked for."""


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    works: bool
    version: str = ""
    why_not: str = ""
    """What is missing and what to do about it, when it does not work here."""


class Driver(Protocol):
    """One runtime class. Every coroutine may be cancelled and then leaves nothing half made."""

    @property
    def runtime(self) -> RuntimeClass: ...

    def capabilities(self) -> Capabilities: ...

    async def fingerprint(self) -> Fingerprint:
        """Does it work here? Tried for real (a sandbox that runs `true`), the answer kept."""
        ...

    async def run(self) -> None:
        """Upkeep of what it keeps ready for starts, until cancelled. Without it everything works,
        only slower."""
        ...

    def expect(self, spec: SandboxSpec) -> None:
        """Such a sandbox is about to be restored: what can be prepared may be, meanwhile."""
        ...

    async def start(self, spec: SandboxSpec) -> Handle:
        """Start the program; return once it runs (not: is ready). Raises RuntimeFailure."""
        ...

    def image_terms(self, spec: SandboxSpec) -> Mapping[str, tuple[str, ...]]:
        """What an image of this sandbox needs where it is restored, by name (version, processor,
        ...). It can be where each name offers there all that it holds here. Empty: no images."""
        ...

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        """Start from a full image of `checkpoint`. RuntimeFailure where FULL is not in scopes."""
        ...

    async def freeze(self, handle: Handle) -> None:
        """Stop all its processes in memory. Done twice is done once."""
        ...

    async def thaw(self, handle: Handle) -> None:
        """Let them run on. Done twice is done once."""
        ...

    async def checkpoint(self, handle: Handle, into: Path) -> None:
        """Write a full image of the frozen sandbox, files in the new directory `into`. It stays
        frozen and may be thawed. RuntimeFailure where FULL is not in scopes."""
        ...

    async def stop(self, handle: Handle, grace_s: float) -> None:
        """End it: SIGTERM, after `grace_s` SIGKILL; 0 kills at once. Nothing of it is left when
        this returns, frozen or not, and a sandbox already gone is no error."""
        ...

    async def wait(self, handle: Handle) -> Exit:
        """Return when the sandbox has ended by itself or by `stop`; re-attached handles too."""
        ...

    async def inspect(self, handle: Handle) -> Inspection: ...

    async def sweep(self, keep: Collection[str]) -> list[str]:
        """End every sandbox under this driver's root whose slug is not in `keep`; return their
        slugs. For what a dead worker left behind."""
        ...
