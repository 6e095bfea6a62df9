"""Find an actor's worker, waking the actor where it sleeps (design, section 5).

One search per actor and process, whoever asks: callers share it, each with a deadline of its own,
and it goes on while any of them waits or a worker has begun the wake. Which workers are asked, and
in what order, is `asking`'s business.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from lifecycle.asking import Asking, Round
from lifecycle.catalogue import KnownTemplates
from lifecycle.errors import (
    DependencyAway,
    LifecycleError,
    NoCapacity,
    NoSuchActor,
    ShuttingDown,
    SnapshotFailed,
    WakeTimedOut,
)
from lifecycle.messages import Here, Phases, WakeAsk, Worker
from lifecycle.quota import KnownQuotas
from lifecycle.roster import Roster
from lifecycle.templates import Template
from lifecycle.turns import Turns
from placement.errors import PlacementError
from placement.model import ActorId, ActorRecord, ActorState, Outcome, WorkerRecord
from placement.table import Table

log = logging.getLogger(__name__)

_SEARCH_S = 30.0
"""One shared search where the template does not say; callers with time left begin another."""
_PAUSE_S = (0.01, 0.25)
"""Between tries when a worker cannot be reached: first and longest."""

_Key = tuple[ActorId, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RanOut:
    """The search's time ended; a caller that came later has some left."""

    budget_s: float
    error: LifecycleError


_Found = Here | LifecycleError | _RanOut


class _Search:
    """What its callers share. `found` is always set at the end, and never to an exception."""

    __slots__ = ("avoid", "callers", "found", "is_asking", "task")

    def __init__(self) -> None:
        self.found: asyncio.Future[_Found] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None] | None = None
        self.callers = 0
        self.is_asking = False
        """A worker was asked and has not answered: a wake may have begun."""
        self.avoid: set[str] = set()

    def tell(self, found: _Found) -> None:
        if not self.found.done():
            self.found.set_result(found)


class Waker:
    def __init__(
        self,
        table: Table,
        templates: KnownTemplates,
        roster: Roster,
        worker_at: Callable[[WorkerRecord], Worker],
        *,
        rng: random.Random | None = None,
        quotas: KnownQuotas | None = None,
    ) -> None:
        self._table = table
        self._quotas = quotas
        self._templates = templates
        self._roster = roster
        self._rng = rng or random.Random()
        self._asking = Asking(roster, worker_at, self._rng)
        self._turns = Turns()
        self._searches: dict[_Key, _Search] = {}
        self._group: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        callers = sum(search.callers for search in self._searches.values())
        return f"<Waker {len(self._searches)} searches, {callers} callers>"

    async def run(self) -> None:
        """Own the searches until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    async def wake(self, actor: ActorId, *, wait_s: float) -> Here:
        """As `find`, for who knows seconds and no loop time."""
        return await self.find(actor, deadline=asyncio.get_running_loop().time() + wait_s)

    async def find(
        self, actor: ActorId, *, deadline: float, request_id: str = "", distrust: bool = False
    ) -> Here:
        """Where the actor runs, by `deadline` (loop time) and within its template's time for a
        wake. Raises LifecycleError.

        `distrust`: the door that the table names did not have it or could not be reached, so its
        worker is asked, not believed.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        late: LifecycleError = WakeTimedOut(
            f"{actor} did not wake within this request's time", actor=actor
        )
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    found = await self._join((actor, distrust), request_id)
            except TimeoutError:
                raise late from None
            if isinstance(found, Here):
                return found
            if isinstance(found, LifecycleError):
                raise found
            # The shared search ran out; a late caller has time of its own left (A27, R28).
            late, deadline = found.error, min(deadline, began + found.budget_s)
            if loop.time() >= deadline:
                raise late

    async def _join(self, key: _Key, request_id: str) -> _Found:
        search = self._searches.get(key)
        if search is None:
            search = self._begin(key, request_id)
        search.callers += 1
        try:
            return await asyncio.shield(search.found)
        finally:
            search.callers -= 1
            if not search.callers and not search.is_asking:
                self._end(key, search)

    def _begin(self, key: _Key, request_id: str) -> _Search:
        assert self._group is not None, "Waker.run is not running"
        search = self._searches[key] = _Search()
        search.task = self._group.create_task(
            self._search(key, search, request_id), name=f"search {key[0]}"
        )
        # Of a task, not in it: one that is cancelled before its first step runs nothing.
        stopped = ShuttingDown("this process stops", actor=key[0])
        search.task.add_done_callback(lambda _: search.tell(stopped))
        return search

    def _end(self, key: _Key, search: _Search) -> None:
        """Nobody waits and nothing was begun: what it would find nobody wants. Out of the list at
        once, so that a caller who comes now does not join what is ending."""
        if self._searches.get(key) is search:
            del self._searches[key]
        if search.task is not None:
            search.task.cancel()

    async def _search(self, key: _Key, search: _Search, request_id: str) -> None:
        actor, distrust = key
        try:
            search.tell(await self._look(actor, search, distrust, request_id))
        except LifecycleError as error:
            search.tell(error)
        except PlacementError as error:
            search.tell(DependencyAway(f"the placement table is away: {error}", actor=actor))
        except Exception as error:
            log.exception("search broke", extra={"actor": str(actor)})
            search.tell(DependencyAway(f"our own mistake: {type(error).__name__}", actor=actor))
        finally:
            if self._searches.get(key) is search:
                del self._searches[key]

    async def _look(
        self, actor: ActorId, search: _Search, distrust: bool, request_id: str
    ) -> _Found:
        loop = asyncio.get_running_loop()
        found, has_room = await self._read(actor)
        record = found or await self._create(actor)
        if record.state is ActorState.RUNNING and not distrust:
            return _running(record)
        # Before it may wait for a slot or ask for one: a namespace at its quota stands in nobody's
        # way, and nobody is put to sleep for it but its own.
        if not has_room and not record.is_owned:
            await self._make_own_room(actor)
        template = await self._templates.get(actor.namespace, record.template)
        budget_s = _SEARCH_S if template is None else template.wake_timeout_s
        until = loop.time() + budget_s
        pause = _PAUSE_S[0]
        last: LifecycleError = NoCapacity(f"no worker took {actor}", actor=actor)
        # Where others wait for room, who comes later waits behind them.
        must_queue = self._turns.waiting > 0 and not self._asking.has_room(template)
        async with self._turns.place(actor.namespace) as place:
            while loop.time() < until:
                if must_queue and not record.is_owned and not await place.has_turn(until):
                    break
                wait_ms = int((until - loop.time()) * 1000)
                ask = WakeAsk(actor=actor, wait_ms=wait_ms, request_id=request_id)
                try:
                    return await self._ask(search, record, template, ask)
                except WakeTimedOut as error:
                    last = error
                    break
                except SnapshotFailed as error:
                    last = error
                    if not self._asking.has_others(search.avoid, template):
                        raise
                except (NoCapacity, DependencyAway) as error:
                    last = error
                if not search.callers:
                    return last
                # Look at everything anew after a moment; where all are full, when it is our turn.
                must_queue = isinstance(last, NoCapacity)
                await place.no_room() if must_queue else await self._pause(pause)
                pause = min(pause * 2, _PAUSE_S[1])
                await self._roster.refresh()
                # Not created again: it was there, so somebody deleted it meanwhile.
                found, has_room = await self._read(actor)
                if found is None:
                    raise NoSuchActor(f"{actor} was deleted", actor=actor)
                record = found
                if record.state is ActorState.RUNNING and not distrust:
                    return _running(record)
                if not has_room and not record.is_owned:
                    await self._make_own_room(actor)
        if not isinstance(last, NoCapacity | WakeTimedOut):
            last = WakeTimedOut(f"{actor} was not woken in {budget_s:g} s: {last}", actor=actor)
        return _RanOut(budget_s=budget_s, error=last)

    async def _read(self, actor: ActorId) -> tuple[ActorRecord | None, bool]:
        """The record, and whether the quota of its namespace has room for it: in one round trip."""
        quotas = self._quotas
        if quotas is None or actor.namespace not in quotas.limits:
            return await self._table.read(actor), True
        return await asyncio.gather(self._table.read(actor), quotas.has_room(actor))

    async def _make_own_room(self, actor: ActorId) -> None:
        """Raises QuotaReached."""
        assert self._quotas is not None
        if not await self._asking.make_own_room(actor.namespace):
            raise self._quotas.refusal(actor)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._rng.uniform(0.5, 1.0))

    async def _ask(
        self, search: _Search, record: ActorRecord, template: Template | None, ask: WakeAsk
    ) -> Here:
        search.is_asking = True
        try:
            return await self._asking.ask(
                Round(record=record, template=template, ask=ask, avoid=search.avoid)
            )
        finally:
            search.is_asking = False

    async def _create(self, actor: ActorId) -> ActorRecord:
        template = await self._templates.creator(actor.namespace)
        if template is None:
            raise NoSuchActor(
                f"no actor {actor}, and no template of that namespace makes actors on request",
                actor=actor,
            )
        answer = await self._table.create(actor, template=template.name)
        if answer.record is None or answer.outcome not in (Outcome.DONE, Outcome.EXISTS):
            raise DependencyAway(f"{actor} could not be created: {answer.outcome}", actor=actor)
        log.info("actor created on request", extra={"actor": str(actor)})
        return answer.record


def _running(record: ActorRecord) -> Here:
    """It runs already: nothing was woken, so no phases."""
    assert record.worker is not None and record.door is not None
    return Here(
        uid=record.uid,
        epoch=record.epoch,
        worker=record.worker,
        door=record.door,
        phases=Phases(),
    )
