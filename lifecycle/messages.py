"""What gateways, the control API and workers say to each other; the same records in one process.

`Worker` is the seam: a host in this process keeps it, and so does the client of a far one's RPC.
"""

from typing import Protocol

import msgspec

from placement.model import ActorId


class WakeAsk(msgspec.Struct, frozen=True, kw_only=True):
    actor: ActorId
    wait_ms: int
    """How long this caller waits; the wake goes on without it."""
    request_id: str = ""
    why: str = ""
    """For what reason this worker was chosen, in a few words."""


class Phases(msgspec.Struct, frozen=True, kw_only=True):
    """Where a wake's time went, in milliseconds."""

    total: float = 0.0
    queue: float = 0.0
    claim: float = 0.0
    fetch: float = 0.0
    restore: float = 0.0
    ready: float = 0.0


class Here(msgspec.Struct, frozen=True, kw_only=True, tag="here"):
    """The actor runs at this worker; forward to its door."""

    uid: str
    epoch: int
    worker: str
    door: str
    phases: Phases
    began: bool = False
    """This call began the wake; others joined it."""


class There(msgspec.Struct, frozen=True, kw_only=True, tag="there"):
    """Another worker has it (or is waking it): call that one."""

    worker: str
    rpc: str


class Full(msgspec.Struct, frozen=True, kw_only=True, tag="full"):
    """No slot or memory here now."""

    evictable: bool
    """An idle actor could be suspended here to make room."""
    idle_s: float = 0.0
    """How long that one was idle."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The wake failed; `error` is the name of a class in lifecycle.errors."""

    error: str
    message: str
    retry_after_s: float | None = None


WakeAnswer = Here | There | Full | Refused


class SuspendAsk(msgspec.Struct, frozen=True, kw_only=True):
    actor: ActorId
    wait_ms: int = 0
    """How long to wait for open tickets before answering busy."""
    force: bool = False
    """Cut what is still open after the wait."""
    discard: bool = False
    """Suspend without a snapshot: what changed since the last one is lost (delete)."""


class SaveAsk(msgspec.Struct, frozen=True, kw_only=True):
    actor: ActorId
    wait_ms: int


class EvictAsk(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str | None = None
    """Only one of this namespace's."""


class LogsAsk(msgspec.Struct, frozen=True, kw_only=True):
    actor: ActorId
    tail_bytes: int


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    worker: str
    incarnation: str
    actors: tuple["Resident", ...]
    draining: bool


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """One actor a worker holds, as it is there now."""

    actor: ActorId
    epoch: int
    state: str
    """`waking`, `running`, `frozen`, `suspending`."""
    runtime: str
    tickets: int
    idle_s: float
    pid: int | None
    memory_bytes: int
    chosen: str = ""
    """For what reason it was woken here; empty where this worker took it back itself."""


class Worker(Protocol):
    """What a worker can be asked. Errors are those of lifecycle.errors; a far one that cannot be
    reached is DependencyAway."""

    async def wake(self, ask: WakeAsk) -> WakeAnswer: ...

    async def suspend(self, ask: SuspendAsk) -> None:
        """Suspend it here. Raises ActorBusy, NoSuchActor (not here), Fenced, DependencyAway."""
        ...

    async def save(self, ask: SaveAsk) -> None:
        """Its snapshot holds all that was before the call; it runs on. Raises ActorBusy (not in
        time), NotHere, Fenced (it left meanwhile: look at its record), DependencyAway."""
        ...

    async def evict(self, namespace: str | None = None) -> bool:
        """Suspend the longest idle actor (of this namespace); False when none may be."""
        ...

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        """The end of its stdout and stderr; of a suspended one, of its last run here."""
        ...

    async def status(self) -> WorkerStatus: ...

    async def drain(self) -> None:
        """Take no more wakes and suspend every actor as its requests end; returns when done."""
        ...
