"""Find an actor's worker, waking the actor where it sleeps (design, section 5).

One search per actor and process, whoever asks: callers share it, each with a deadline of its own,
and it goes on while any of them waits. Only workers know more; where two of them are asked, the
claim decides.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from lifecycle.catalogue import KnownTemplates
from lifecycle.errors import (
    DependencyAway,
    LifecycleError,
    NoCapacity,
    NoSuchActor,
    WakeTimedOut,
)
from lifecycle.host.door import error_of
from lifecycle.messages import Full, Here, Phases, Refused, There, WakeAsk, Worker
from lifecycle.roster import Roster
from lifecycle.templates import Template
from placement.errors import PlacementError
from placement.model import ActorId, ActorRecord, ActorState, Outcome, WorkerRecord
from placement.scheduler import choose
from placement.table import Table

log = logging.getLogger(__name__)

_SEARCH_S = 30.0
"""One shared search where the template does not say; callers with time left begin another."""
_PAUSE_S = (0.01, 0.25)
"""Between tries when all are full or a worker cannot be reached: first and longest."""
_FOLLOW = 4
"""How many times in a row a worker's "there" is followed before looking at the table again."""


class Waker:
    def __init__(
        self,
        table: Table,
        templates: KnownTemplates,
        roster: Roster,
        worker_at: Callable[[WorkerRecord], Worker],
        *,
        rng: random.Random | None = None,
    ) -> None:
        self._table = table
        self._templates = templates
        self._roster = roster
        self._worker_at = worker_at
        self._rng = rng or random.Random()
        self._searches: dict[tuple[ActorId, bool], asyncio.Task[Here | LifecycleError]] = {}
        self._group: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Waker {len(self._searches)} searches>"

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
        """Where the actor runs, by `deadline` (loop time). Raises LifecycleError.

        `distrust`: the door that the table names did not have it or could not be reached, so its
        worker is asked, not believed.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        key = (actor, distrust)
        while True:
            search = self._searches.get(key)
            if search is None:
                assert self._group is not None, "Waker.run is not running"
                search = self._group.create_task(
                    self._search(actor, distrust, request_id), name=f"search {actor}"
                )
                self._searches[key] = search
            try:
                async with asyncio.timeout_at(deadline):
                    found = await asyncio.shield(search)
            except TimeoutError:
                raise WakeTimedOut(
                    f"{actor} did not wake within this request's time", actor=actor
                ) from None
            if isinstance(found, Here):
                return found
            if not isinstance(found, WakeTimedOut) or loop.time() - began >= found.budget_s:
                raise found
            # The shared search ran out, this late caller's budget has not (A27): begin another.

    async def _search(
        self, actor: ActorId, distrust: bool, request_id: str
    ) -> Here | LifecycleError:
        try:
            return await self._look(actor, distrust, request_id)
        except LifecycleError as error:
            return error
        except PlacementError as error:
            return DependencyAway(f"the placement table is away: {error}", actor=actor)
        except Exception as error:
            log.exception("search broke", extra={"actor": str(actor)})
            return DependencyAway(f"our own mistake: {type(error).__name__}", actor=actor)
        finally:
            self._searches.pop((actor, distrust), None)

    async def _look(self, actor: ActorId, distrust: bool, request_id: str) -> Here:
        loop = asyncio.get_running_loop()
        record = await self._table.read(actor) or await self._create(actor)
        if record.state is ActorState.RUNNING and not distrust:
            return _running(record)
        template = await self._templates.get(actor.namespace, record.template)
        budget_s = _SEARCH_S if template is None else template.wake_timeout_s
        until = loop.time() + budget_s
        pause = _PAUSE_S[0]
        last: LifecycleError = NoCapacity(f"no worker took {actor}", actor=actor)
        while loop.time() < until:
            ask = WakeAsk(
                actor=actor, wait_ms=int((until - loop.time()) * 1000), request_id=request_id
            )
            try:
                return await self._ask_workers(record, template, ask)
            except (NoCapacity, DependencyAway) as error:
                last = error
            # Full or unreachable: look at everything anew after a moment.
            await asyncio.sleep(pause * self._rng.uniform(0.5, 1.0))
            pause = min(pause * 2, _PAUSE_S[1])
            await self._roster.refresh()
            # Not created again: it was there, so somebody deleted it meanwhile.
            found = await self._table.read(actor)
            if found is None:
                raise NoSuchActor(f"{actor} was deleted", actor=actor)
            record = found
            if record.state is ActorState.RUNNING and not distrust:
                return _running(record)
        if isinstance(last, NoCapacity):
            raise last
        late = WakeTimedOut(f"{actor} was not woken in {budget_s:g} s: {last}", actor=actor)
        late.budget_s = budget_s
        raise late

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

    async def _ask_workers(
        self, record: ActorRecord, template: Template | None, ask: WakeAsk
    ) -> Here:
        """The owner where there is one, else the best of the workers, else room made on one."""
        full: list[WorkerRecord] = []
        tried: set[str] = set()
        worker = self._pick(record, template, tried)
        if worker is None:
            await self._roster.refresh()
            worker = self._pick(record, template, tried)
        while worker is not None:
            tried.add(worker.worker)
            answer = await self._follow(worker, ask)
            if isinstance(answer, Here):
                return answer
            if answer.evictable:
                full.append(worker)
            worker = self._pick(record, template, tried)
        for candidate in full:
            if await self._worker_at(candidate).evict():
                answer = await self._follow(candidate, ask)
                if isinstance(answer, Here):
                    return answer
        if not tried:
            raise NoCapacity("no worker is registered that could run it", actor=ask.actor)
        raise NoCapacity(f"all workers are full ({len(tried)} asked)", actor=ask.actor)

    def _pick(
        self, record: ActorRecord, template: Template | None, tried: set[str]
    ) -> WorkerRecord | None:
        key = template.key if template is not None else ""
        runtimes = () if template is None or template.runtime == "auto" else (template.runtime,)
        choice = choose(
            record,
            key,
            runtimes,
            [w for w in self._roster.workers() if w.worker not in tried],
            now_ms=int(time.time() * 1000),
            rng=self._rng,
        )
        return None if choice is None else choice.worker

    async def _follow(self, worker: WorkerRecord, ask: WakeAsk) -> Here | Full:
        """Ask one worker, and the one it points to. Raises LifecycleError."""
        for _ in range(_FOLLOW):
            try:
                answer = await self._worker_at(worker).wake(ask)
            except DependencyAway:
                # It may be dead and own the actor still: others wait out its lease and take over.
                return Full(evictable=False)
            match answer:
                case Here():
                    return answer
                case Full():
                    return answer
                case Refused():
                    raise error_of(answer, ask.actor)
                case There():
                    found = [w for w in await self._known(answer.worker) if w.rpc == answer.rpc]
                    if not found:
                        return Full(evictable=False)
                    worker = found[0]
        return Full(evictable=False)

    async def _known(self, worker: str) -> list[WorkerRecord]:
        known = [w for w in self._roster.workers() if w.worker == worker]
        return known or [w for w in await self._roster.refresh() if w.worker == worker]


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
