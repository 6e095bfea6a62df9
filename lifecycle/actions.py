"""Actions on actors and workers: what a person or a program may ask of the control API.

Each looks at the record, asks the worker that owns the actor, and looks again: between two looks
anything may happen, so every one is a short loop that ends in a state or an error that names it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from lifecycle import documents, orphans, rebuilding
from lifecycle.errors import (
    ActorBusy,
    ActorExists,
    DependencyAway,
    Fenced,
    LifecycleError,
    NoSuchActor,
    NoSuchTemplate,
    NoSuchWorker,
    NotHere,
    SnapshotRefused,
    WrongNamespace,
)
from lifecycle.messages import Here, Resident, SaveAsk, SuspendAsk, Worker
from lifecycle.rebuilding import Rebuilt
from lifecycle.snapshots.base import StoreError
from lifecycle.snapshots.newest import Kept, Unreadable
from placement.catalog import Catalog
from placement.errors import PlacementError
from placement.leases import Leases
from placement.listing import Listing
from placement.model import (
    ActorId,
    ActorRecord,
    ActorState,
    Answer,
    Outcome,
    WorkerRecord,
    new_uid,
)
from placement.repeat import until_known
from placement.table import Table

log = logging.getLogger(__name__)

_CALL_S = 5.0
"""How long one call on the table is repeated."""
_LOOK_S = 1.0
"""How long a worker is asked how an actor is; without its answer the record alone is shown."""
_FORGET_S = 60.0
_SAVE_MS = 60_000
"""For the checkpoint before a fork."""
_TRIES = 8
"""Looks at an actor that moves each time, before the caller is told to come again."""
_EXAMINED = 1000
"""Records read at a time where some are filtered out."""
_MOST_EXAMINED = 2000
"""Records that are read for one filtered page; it is short then, and its cursor goes on."""
_LOG_BYTES = 1_000_000


class Waker(Protocol):
    async def find(self, actor: ActorId, *, deadline: float, request_id: str = "") -> Here:
        """Wake it or join its wake, until `deadline` (loop time). Raises lifecycle.errors."""
        ...


@contextmanager
def table_errors(actor: ActorId | None = None) -> Iterator[None]:
    """Placement's errors and a table that does not answer, as ours."""
    try:
        yield
    except PlacementError as error:
        raise DependencyAway(f"the placement table: {error}", actor=actor) from error
    except TimeoutError as error:
        raise DependencyAway("the placement table does not answer", actor=actor) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    namespace: str | None = None
    state: ActorState | None = None
    template: str | None = None
    worker: str | None = None
    active_before_ms: int | None = None
    """Unix milliseconds; its last activity was earlier."""

    @property
    def takes_all(self) -> bool:
        """Of the namespace."""
        others = (self.state, self.template, self.worker, self.active_before_ms)
        return all(each is None for each in others)

    def takes(self, record: ActorRecord) -> bool:
        return (
            (self.active_before_ms is None or record.active_ms < self.active_before_ms)
            and (self.state is None or record.state is self.state)
            and (self.template is None or record.template == self.template)
            and (self.worker is None or (record.is_owned and record.worker == self.worker))
        )


class Actions:
    """`workers` gives the client of a worker's RPC (or the host here); `forget_snapshots` removes
    everything that is stored of one uid, `fork_snapshot` makes a record's snapshot one of another
    actor's and uid's too, and gives its id; `stored` tells the newest snapshot of each actor."""

    def __init__(
        self,
        *,
        table: Table,
        catalog: Catalog,
        listing: Listing,
        leases: Leases,
        waker: Waker,
        workers: Callable[[WorkerRecord], Worker],
        forget_snapshots: Callable[[ActorId, str], Awaitable[None]],
        stored: Callable[[str], AsyncIterator[Kept | Unreadable]],
        fork_snapshot: Callable[[ActorRecord, ActorId, str], Awaitable[str]],
    ) -> None:
        self._table = table
        self._catalog = catalog
        self._listing = listing
        self._leases = leases
        self._waker = waker
        self._workers = workers
        self._forget_snapshots = forget_snapshots
        self._stored = stored
        self._fork_snapshot = fork_snapshot

    # Actors ---------------------------------------------------------------------------------

    async def create(self, actor: ActorId, template: str) -> ActorRecord:
        """A new, suspended actor. Raises NoSuchTemplate, ActorExists."""
        with table_errors(actor):
            async with asyncio.timeout(_CALL_S):
                found = await self._catalog.get(actor.namespace, template)
        if found is None:
            raise NoSuchTemplate(f"there is no template {actor.namespace}/{template}", actor=actor)
        answer = await self._surely(
            actor, lambda call: self._table.create(actor, template=template, call=call)
        )
        if answer.outcome is Outcome.EXISTS or answer.record is None:
            raise ActorExists(f"there is an actor {actor} already", actor=actor)
        return answer.record

    async def fork(self, source: ActorId, to: ActorId) -> ActorRecord:
        """A new, suspended actor that wakes as `source` was at some moment of this call; one that
        is waking, as it last slept. It has the source's template and policy, and nothing else of
        who that is. Raises NoSuchActor, ActorExists, WrongNamespace.

        Broken off at any point it leaves no actor or a whole one: the record comes last, in one
        step, and what was stored before it is named by nobody."""
        if source.namespace != to.namespace:
            # Its keys are another namespace's, and so are the ids of its chunks.
            raise WrongNamespace(f"{to} is not in the namespace of {source}", actor=source)
        with table_errors(to):
            async with asyncio.timeout(_CALL_S):
                if await self._table.read(to) is not None:
                    raise ActorExists(f"there is an actor {to} already", actor=to)
        first = await self.record(source)
        for _ in range(_TRIES):
            if (found := await self._saved(source)) is None:
                continue  # it moves: look again
            if found.uid != first.uid:
                raise NoSuchActor(f"{source} was deleted meanwhile", actor=source)
            try:
                return await self._forked(found, to)
            except SnapshotRefused:
                # Deleted since, or it has a newer one and that one was collected.
                if (await self.record(source)).snapshot == found.snapshot:
                    raise
        raise ActorBusy(f"{source} changes hands all the time; try again", actor=source)

    async def _saved(self, source: ActorId) -> ActorRecord | None:
        """The record, when its snapshot is not older than this call; None: look again."""
        record = await self.record(source)
        if not record.is_owned or record.state is ActorState.WAKING:
            return record  # of one that wakes nothing was served since its snapshot
        assert record.worker is not None
        with table_errors(source):
            owner = await self._leases.worker(record.worker)
            if owner is None:
                await self._released(record)
                return None
        try:
            await self._workers(owner).save(SaveAsk(actor=source, wait_ms=_SAVE_MS))
        except (NoSuchActor, NotHere, Fenced):
            await asyncio.sleep(0.05)
            with table_errors(source):
                if owner.incarnation != record.incarnation:
                    await self._released(record, back=owner.incarnation)
            return None
        return await self.record(source)

    async def _forked(self, source: ActorRecord, to: ActorId) -> ActorRecord:
        uid, snapshot = new_uid(), None
        try:
            if source.snapshot is not None:
                snapshot = await self._fork_snapshot(source, to, uid)
            answer = await self._surely(
                to,
                # Always this one's id: it is the uid that the snapshot was made for.
                lambda _: self._table.create(
                    to,
                    template=source.template,
                    policy=source.policy,
                    snapshot=snapshot,
                    call=uid,
                ),
            )
        except SnapshotRefused:
            await self._forget(to, uid)
            raise
        if answer.is_done and answer.record is not None:
            return answer.record
        await self._forget(to, uid)
        raise ActorExists(f"there is an actor {to} already", actor=to)

    async def record(self, actor: ActorId) -> ActorRecord:
        with table_errors(actor):
            async with asyncio.timeout(_CALL_S):
                record = await self._table.read(actor)
        if record is None:
            raise NoSuchActor(f"there is no actor {actor}", actor=actor)
        return record

    async def look(self, actor: ActorId) -> tuple[ActorRecord, Resident | None]:
        """The record and, where its worker answers soon, how the actor is there now."""
        record = await self.record(actor)
        if not record.is_owned or record.worker is None:
            return record, None
        try:
            async with asyncio.timeout(_LOOK_S):
                owner = await self._leases.worker(record.worker)
                if owner is None:
                    return record, None
                status = await self._workers(owner).status()
        except (LifecycleError, PlacementError, TimeoutError):
            return record, None  # the record is the truth; how it is there now is a courtesy
        fitting = (each for each in status.actors if each.actor == actor)
        return record, next((each for each in fitting if each.epoch == record.epoch), None)

    async def list(
        self, wanted: ListFilter, *, cursor: str | None, limit: int
    ) -> tuple[list[ActorRecord], str | None]:
        """Up to `limit` records and the next cursor. A page may be short, or empty, though more
        follow: it costs a bounded number of reads, whatever it finds."""
        found: list[ActorRecord] = []
        examined = 0
        with table_errors():
            while True:
                async with asyncio.timeout(_CALL_S):
                    page, cursor = await self._listing.list(
                        wanted.namespace,
                        cursor=cursor,
                        limit=limit if wanted.takes_all else _EXAMINED,
                    )
                examined += _EXAMINED
                for record in page:
                    if not wanted.takes(record):
                        continue
                    if len(found) == limit:
                        return found, str(found[-1].actor)
                    found.append(record)
                if cursor is None or len(found) == limit or examined >= _MOST_EXAMINED:
                    return found, cursor

    async def wake(
        self, actor: ActorId, *, wait_s: float, request_id: str = ""
    ) -> tuple[ActorRecord, Here]:
        await self.record(actor)  # asked for by name: nothing is created on this request
        deadline = asyncio.get_running_loop().time() + wait_s
        here = await self._waker.find(actor, deadline=deadline, request_id=request_id)
        return await self.record(actor), here

    async def suspend(self, actor: ActorId, *, wait_s: float, force: bool) -> ActorRecord:
        """Suspended when this returns, unless a request woke it again meanwhile. Raises ActorBusy
        when tickets are still out after `wait_s` and `force` is not given."""
        ask = SuspendAsk(actor=actor, wait_ms=round(wait_s * 1000), force=force)
        for _ in range(_TRIES):
            record = await self.record(actor)
            if not record.is_owned or await self._suspended(record, ask):
                return await self.record(actor)
        raise ActorBusy(f"{actor} changes hands all the time; try again", actor=actor)

    async def delete(self, actor: ActorId) -> None:
        """Gone for good, with its snapshots; what it does now is cut and not kept."""
        ask = SuspendAsk(actor=actor, force=True, discard=True)
        uid = (await self.record(actor)).uid
        for _ in range(_TRIES):
            answer = await self._surely(
                actor, lambda call: self._table.delete(actor, uid, call=call)
            )
            # STALE: somebody else deleted it and the name is a new actor's, not ours to touch.
            if answer.outcome is not Outcome.WRONG_STATE or answer.record is None:
                return await self._forget(actor, uid)
            await self._suspended(answer.record, ask)
        raise ActorBusy(f"{actor} is woken again each time it is suspended", actor=actor)

    async def logs(self, actor: ActorId, *, tail_lines: int) -> bytes:
        """The last lines of its output, from the worker that has or last had it."""
        record = await self.record(actor)
        if record.worker is None or tail_lines <= 0:
            return b""
        with table_errors(actor):
            async with asyncio.timeout(_CALL_S):
                keeper = await self._leases.worker(record.worker)
        if keeper is None:
            raise DependencyAway(
                f"the output of {actor} is kept by worker {record.worker}, which is away",
                actor=actor,
            )
        output = await self._workers(keeper).logs(actor, _LOG_BYTES)
        return b"".join(output.splitlines(keepends=True)[-tail_lines:])

    async def set_policy(self, actor: ActorId, document: object) -> ActorRecord:
        """What this one has otherwise than its template says; an empty document ends that.
        Raises NotUnderstood."""
        policy = documents.parse_policy(document)
        uid = (await self.record(actor)).uid
        kept = None if policy == "{}" else policy
        answer = await self._surely(
            actor, lambda call: self._table.set_policy(actor, uid, kept, call=call)
        )
        if not answer.is_done or answer.record is None:
            raise NoSuchActor(f"{actor} was deleted meanwhile", actor=actor)
        return answer.record

    async def rebuild(self, namespace: str | None) -> Rebuilt:
        """Records of actors that have none and whose snapshots are stored. Waits for one lease
        first: by then every worker that lives has written back what it runs."""
        await asyncio.sleep(self._leases.ttl_s + self._leases.margin_s)
        prefix = "" if namespace is None else f"{namespace}/"
        try:
            with table_errors():
                return await rebuilding.rebuild(self._table, self._stored(prefix))
        except StoreError as error:
            raise DependencyAway(f"the snapshot store: {error}") from error

    # Workers --------------------------------------------------------------------------------

    async def workers(self) -> Sequence[WorkerRecord]:
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                return await self._leases.workers()

    async def drain(self, worker: str) -> WorkerRecord:
        """Returns when the worker has no actor left; it takes no new one."""
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                record = await self._leases.worker(worker)
        if record is None:
            raise NoSuchWorker(f"there is no worker {worker}")
        await self._workers(record).drain()
        return record

    # Steps ----------------------------------------------------------------------------------

    async def _suspended(self, record: ActorRecord, ask: SuspendAsk) -> bool:
        """Ask the owner in `record`; False when the actor moved on and must be looked at again."""
        assert record.worker is not None and record.incarnation is not None  # it is owned
        with table_errors(record.actor):
            owner = await self._leases.worker(record.worker)
            if owner is None:
                return await self._released(record)
        try:
            # Of an earlier incarnation, too: what that left it takes back, with files that are
            # newer than any snapshot (R12).
            await self._workers(owner).suspend(ask)
        except (NoSuchActor, NotHere, Fenced):
            # It left that worker between our look and the call, or is just being released there.
            await asyncio.sleep(0.05)
            with table_errors(record.actor):
                if owner.incarnation != record.incarnation:
                    return await self._released(record, back=owner.incarnation)
            return False
        return True

    async def _released(self, record: ActorRecord, back: str | None = None) -> bool:
        with table_errors(record.actor):
            return await orphans.release(self._table, self._leases, record, back)

    async def _forget(self, actor: ActorId, uid: str) -> None:
        try:
            async with asyncio.timeout(_FORGET_S):
                await self._forget_snapshots(actor, uid)
        except (LifecycleError, StoreError, TimeoutError) as error:
            # The actor is gone and nobody will name this uid again: the collector removes it.
            log.warning(
                "snapshots of a deleted actor are left to the collector",
                extra={"actor": str(actor), "uid": uid, "error": str(error)},
            )

    async def _surely(self, actor: ActorId, attempt: Callable[[str], Awaitable[Answer]]) -> Answer:
        deadline = asyncio.get_running_loop().time() + _CALL_S
        with table_errors(actor):
            return await until_known(attempt, deadline=deadline)
