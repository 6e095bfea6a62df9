"""One round of asking workers to wake an actor: its owner, the best one, the full ones, and then
whoever can make room. Which of them has the actor in the end is decided by the claim."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lifecycle.errors import DependencyAway, NoCapacity, SnapshotFailed
from lifecycle.host.door import error_of
from lifecycle.messages import Full, Here, Refused, There, WakeAsk, Worker
from lifecycle.roster import Roster
from lifecycle.templates import Template
from placement.model import ActorRecord, WorkerRecord
from placement.scheduler import choose

_FOLLOW = 4
"""How many times in a row a worker's "there" is followed before looking at the table again."""
_FULL_ASKED = 4
"""Workers that said they were full and are asked all the same, in one round: one has a free slot by
now perhaps, or an actor that may sleep."""
_ELSEWHERE = (DependencyAway, SnapshotFailed)
"""What one worker lacks (lease, disk, store) another may have."""


@dataclass(slots=True, kw_only=True)
class Round:
    record: ActorRecord
    template: Template | None
    ask: WakeAsk
    avoid: set[str]
    """Workers that could not do it in an earlier round of the same search; this one adds its own,
    and forgets them when nobody else is left."""
    tried: set[str] = field(default_factory=set)
    evictable: list[WorkerRecord] = field(default_factory=list)
    away: int = 0


class Asking:
    def __init__(
        self, roster: Roster, worker_at: Callable[[WorkerRecord], Worker], rng: random.Random
    ) -> None:
        self._roster = roster
        self._worker_at = worker_at
        self._rng = rng

    async def ask(self, round_: Round) -> Here:
        """Raises NoCapacity when nobody took it, and what the worker that tried to could not do."""
        if not self._roster.workers():
            await self._roster.refresh()
        if not self.has_others(round_.avoid, round_.template):
            round_.avoid.clear()
        for worker in self._in_order(round_):
            here = await self._follow(worker, round_)
            if here is not None:
                return here
        for worker in round_.evictable:
            if await self._evict(worker):
                here = await self._follow(worker, round_)
                if here is not None:
                    return here
        raise NoCapacity(_why_not(round_), actor=round_.ask.actor)

    def has_others(self, avoid: set[str], template: Template | None) -> bool:
        able = (w for w in self._roster.workers() if not w.draining and _runs(w, template))
        return any(w.worker not in avoid for w in able)

    def _in_order(self, round_: Round) -> Iterator[WorkerRecord]:
        """Each choice is made when it comes to it, by what was tried until then."""
        owner = self._owner(round_)
        if owner is not None:
            yield owner
        while (worker := self._best(round_)) is not None:
            yield worker
        full = [w for w in self._untried(round_) if not w.draining and _runs(w, round_.template)]
        yield from self._rng.sample(full, min(_FULL_ASKED, len(full)))

    def _owner(self, round_: Round) -> WorkerRecord | None:
        """Full or draining, it is the one that has the actor."""
        record = round_.record
        if not record.is_owned:
            return None
        return next((w for w in self._untried(round_) if w.worker == record.worker), None)

    def _best(self, round_: Round) -> WorkerRecord | None:
        template = round_.template
        choice = choose(
            round_.record,
            template.key if template is not None else "",
            _runtimes(template),
            self._untried(round_),
            now_ms=int(time.time() * 1000),
            rng=self._rng,
        )
        return None if choice is None else choice.worker

    def _untried(self, round_: Round) -> list[WorkerRecord]:
        out = round_.tried | round_.avoid
        return [w for w in self._roster.workers() if w.worker not in out]

    async def _follow(self, worker: WorkerRecord, round_: Round) -> Here | None:
        """Ask one worker, and the one it points to."""
        for _ in range(_FOLLOW):
            round_.tried.add(worker.worker)
            try:
                answer = await self._worker_at(worker).wake(round_.ask)
            except DependencyAway:
                # It may be dead and own the actor still: others wait out its lease and take over.
                round_.away += 1
                return None
            match answer:
                case Here():
                    return answer
                case Full():
                    if answer.evictable and worker not in round_.evictable:
                        round_.evictable.append(worker)
                    return None
                case Refused():
                    error = error_of(answer, round_.ask.actor)
                    if isinstance(error, _ELSEWHERE):
                        # Not at once: were it the table's or the store's trouble, every worker
                        # would claim and release the actor in turn.
                        round_.avoid.add(worker.worker)
                    raise error
                case There():
                    found = [w for w in await self._known(answer.worker) if w.rpc == answer.rpc]
                    if not found:
                        return None
                    worker = found[0]
        return None

    async def _evict(self, worker: WorkerRecord) -> bool:
        try:
            return await self._worker_at(worker).evict()
        except DependencyAway:
            return False

    async def _known(self, worker: str) -> list[WorkerRecord]:
        known = [w for w in self._roster.workers() if w.worker == worker]
        return known or [w for w in await self._roster.refresh() if w.worker == worker]


def _why_not(round_: Round) -> str:
    if not round_.tried:
        return "no worker is registered that could run it"
    return f"of {len(round_.tried)} workers asked {round_.away} are away, the others full"


def _runtimes(template: Template | None) -> tuple[str, ...]:
    return () if template is None else template.runtimes


def _runs(worker: WorkerRecord, template: Template | None) -> bool:
    wanted = _runtimes(template)
    return not wanted or any(kind in worker.runtimes for kind in wanted)
