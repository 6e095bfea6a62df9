"""A worker with behaviour and no sandboxes: its claims, suspends and leases are the table's own.

For those who ask workers (control API, CLI). What a real host does with tickets is tested there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from redis.asyncio import Redis

from lifecycle.actions import Actions
from lifecycle.errors import (
    ActorBusy,
    DependencyAway,
    NoSuchActor,
    NotHere,
    ShuttingDown,
    StartFailed,
)
from lifecycle.messages import (
    Here,
    Phases,
    Resident,
    SaveAsk,
    SuspendAsk,
    WakeAnswer,
    WakeAsk,
    WorkerStatus,
)
from lifecycle.namespace_actions import NamespaceActions
from lifecycle.snapshots.newest import Kept, Unreadable
from lifecycle.template_actions import TemplateActions
from placement.catalog import Catalog
from placement.leases import Leases
from placement.listing import Listing
from placement.model import ActorId, ActorRecord, Claimant, Fence, WorkerRecord, new_uid
from placement.quotas import Quotas
from placement.table import Table

COUNTER: dict[str, Any] = {
    "apiVersion": "rouse.dev/v1alpha1",
    "kind": "ActorTemplate",
    "metadata": {"namespace": "demo", "name": "counter"},
    "spec": {"command": ["python3", "-m", "counter"]},
}
PHASES = Phases(total=41.5, queue=0.5, claim=1.0, fetch=2.0, restore=30.0, ready=8.0)


@dataclass(kw_only=True)
class FakeWorker:
    table: Table
    record: WorkerRecord
    fences: dict[ActorId, Fence] = field(default_factory=dict)
    tickets: set[ActorId] = field(default_factory=set)
    """Actors with an open request, which only force cuts."""
    output: bytes = b""
    is_away: bool = False
    is_hanging: bool = False
    """`status` never answers."""
    discarded: list[ActorId] = field(default_factory=list)
    drained: bool = False
    refused: int = 0
    """Saves of actors that are not here."""

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        self._answering()
        if self.drained:
            raise ShuttingDown("this worker drains", actor=ask.actor)
        me = Claimant(
            worker=self.record.worker, incarnation=self.record.incarnation, door=self.record.door
        )
        claimed = await self.table.claim(ask.actor, me, budget_ms=ask.wait_ms)
        assert claimed.record is not None
        if claimed.is_done:
            ready = await self.table.ready(claimed.record.fence())
            assert ready.record is not None
            self.fences[ask.actor] = ready.record.fence()
        fence = self.fences[ask.actor]
        return Here(
            uid=fence.uid,
            epoch=fence.epoch,
            worker=self.record.worker,
            door=self.record.door,
            phases=PHASES,
            began=claimed.is_done,
        )

    async def suspend(self, ask: SuspendAsk) -> None:
        self._answering()
        if ask.actor not in self.fences:
            raise NoSuchActor(f"{ask.actor} is not here", actor=ask.actor)
        if ask.actor in self.tickets and not ask.force:
            raise ActorBusy(f"{ask.actor} has 1 open request", actor=ask.actor)
        self.tickets.discard(ask.actor)
        begun = await self.table.begin_suspend(self.fences.pop(ask.actor))
        assert begun.record is not None
        snapshot = None if ask.discard else f"{begun.record.epoch}-snapshot"
        if ask.discard:
            self.discarded.append(ask.actor)
        await self.table.commit_suspend(begun.record.fence(), snapshot=snapshot, active_ms=1)

    async def save(self, ask: SaveAsk) -> None:
        self._answering()
        if ask.actor not in self.fences:
            self.refused += 1
            raise NotHere(f"{ask.actor} is not here", actor=ask.actor)
        fence = self.fences[ask.actor]
        done = await self.table.checkpointed(fence, snapshot=f"{fence.epoch}-saved", active_ms=1)
        assert done.record is not None
        self.fences[ask.actor] = done.record.fence()

    async def evict(self, namespace: str | None = None) -> bool:
        return False

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        self._answering()
        return self.output[-tail_bytes:]

    async def status(self) -> WorkerStatus:
        self._answering()
        if self.is_hanging:
            await asyncio.Event().wait()
        return WorkerStatus(
            worker=self.record.worker,
            incarnation=self.record.incarnation,
            actors=tuple(
                Resident(
                    actor=actor,
                    epoch=fence.epoch,
                    state="running",
                    runtime="process",
                    tickets=int(actor in self.tickets),
                    idle_s=1.5,
                    pid=4711,
                    memory_bytes=9_000_000,
                )
                for actor, fence in self.fences.items()
            ),
            draining=self.drained,
        )

    async def drain(self) -> None:
        self._answering()
        self.drained = True
        for actor in list(self.fences):
            await self.suspend(SuspendAsk(actor=actor))

    def _answering(self) -> None:
        if self.is_away:
            raise DependencyAway(f"worker {self.record.worker} cannot be reached")


@dataclass(kw_only=True)
class FakeFleet:
    """Workers with real leases over a real table, the actions on them, and a waker."""

    redis: Redis
    table: Table
    workers: dict[str, FakeWorker] = field(default_factory=dict)
    kept: list[Kept | Unreadable] = field(default_factory=list)
    """What the store has."""
    forgotten: list[tuple[ActorId, str]] = field(default_factory=list)
    wake_error: Exception | None = None
    forget_error: Exception | None = None
    forks: list[tuple[str, str]] = field(default_factory=list)
    """Snapshots that were forked, and the uid for which."""
    fork_error: Exception | None = None
    at_fork: Callable[[], Awaitable[None]] = field(default=lambda: asyncio.sleep(0))
    """What happens while a snapshot is forked."""

    def __post_init__(self) -> None:
        self.leases = Leases(self.redis, ttl_s=30, margin_s=0.01)
        self.catalog = Catalog(self.redis)
        listing = Listing(self.redis)
        self.namespaces = NamespaceActions(Quotas(self.redis, lasts_s=30))
        self.templates = TemplateActions(catalog=self.catalog, listing=listing)
        self.actions = Actions(
            table=self.table,
            catalog=self.catalog,
            listing=listing,
            leases=self.leases,
            waker=self,
            workers=lambda record: self.workers[record.worker],
            forget_snapshots=self._forget,
            stored=self._stored,
            fork_snapshot=self._fork,
        )

    async def add(self, name: str) -> FakeWorker:
        record = WorkerRecord(
            worker=name,
            incarnation=new_uid(),
            door=f"unix:/{name}",
            rpc="unix:/rpc",
            slots=4,
            free=4,
        )
        await self.leases.register(record)
        self.workers[name] = FakeWorker(table=self.table, record=record)
        return self.workers[name]

    async def lose(self, name: str) -> None:
        """As after kill -9 and the end of its lease."""
        worker = self.workers[name]
        await self.leases.retire(name, worker.record.incarnation)
        worker.is_away = True

    async def come_back(self, name: str) -> None:
        """As after a restart: a new incarnation, which has what the dead one had."""
        worker = self.workers[name]
        await self.leases.retire(name, worker.record.incarnation)
        worker.record = replace(worker.record, incarnation=new_uid())
        await self.leases.register(worker.record)

    async def actor(self, name: str, template: str = "counter") -> ActorId:
        """A new, suspended actor of a template that is there."""
        await self.templates.apply({**COUNTER, "metadata": {"namespace": "demo", "name": template}})
        actor = ActorId.of("demo", name)
        await self.actions.create(actor, template)
        return actor

    async def find(self, actor: ActorId, *, deadline: float, request_id: str = "") -> Here:
        if self.wake_error is not None:
            raise self.wake_error
        record = await self.table.read(actor)
        assert record is not None
        wait_ms = round((deadline - asyncio.get_running_loop().time()) * 1000)
        name = record.worker if record.is_owned and record.worker else next(iter(self.workers))
        answer = await self.workers[name].wake(
            WakeAsk(actor=actor, wait_ms=wait_ms, request_id=request_id)
        )
        if not isinstance(answer, Here):
            raise StartFailed("the fake was asked wrongly", actor=actor)
        return answer

    async def _stored(self, prefix: str) -> AsyncIterator[Kept | Unreadable]:
        for each in self.kept:
            space = each.actor.namespace if isinstance(each, Kept) else each.namespace
            if f"{space}/".startswith(prefix):
                yield each

    async def _fork(self, source: ActorRecord, to: ActorId, uid: str) -> str:
        self.forks.append((source.snapshot or "", uid))
        if self.fork_error is not None:
            raise self.fork_error
        await self.at_fork()
        return f"0-of-{source.snapshot}"

    async def _forget(self, actor: ActorId, uid: str) -> None:
        self.forgotten.append((actor, uid))
        if self.forget_error is not None:
            raise self.forget_error
