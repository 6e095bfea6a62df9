"""One round of asking workers to wake an actor: its owner, the best one, the full ones, and then
whoever can make room. Which of them has the actor in the end is decided by the claim."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from lifecycle.errors import DependencyAway, NoCapacity, SnapshotFailed
from lifecycle.host.door import error_of
from lifecycle.messages import Full, Here, Refused, There, WakeAsk, Worker
from lifecycle.roster import Roster
from lifecycle.templates import Template
from placement.model import ActorRecord, WorkerRecord
from placement.scheduler import Choice, Wanted, can_take, choose, lacks, to_make_room

log = logging.getLogger(__name__)

_FOLLOW = 4
"""How many times in a row a worker's "there" is followed before looking at the table again."""
_FULL_ASKED = 4
"""Workers that said they were full and are asked all the same, in one round, the one with the
longest idle actor first: it has a free slot by now perhaps, or that actor may sleep."""
_OWN_ASKED = 2
"""Workers that are asked to put an actor of a namespace at its quota to sleep."""
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
    evictable: list[tuple[float, WorkerRecord]] = field(default_factory=list)
    """How long the longest idle actor of each was idle just now."""
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
        for worker, why in self._in_order(round_):
            here = await self._follow(worker, why, round_)
            if here is not None:
                return here
        # The longest idle of the cluster goes first, not that of whoever was asked first (A40).
        for idle_s, worker in sorted(round_.evictable, key=lambda each: each[0], reverse=True):
            if await self._evict(worker):
                here = await self._follow(worker, f"room made: idle {idle_s:.0f} s", round_)
                if here is not None:
                    return here
        raise NoCapacity(self._why_not(round_), actor=round_.ask.actor)

    async def make_own_room(self, namespace: str) -> bool:
        """A namespace at its quota: does one of its own actors go to sleep, the longest idle one?
        By what the workers last said; nobody else's is touched."""
        able = [w for w in self._roster.workers() if namespace in w.idle_by_tenant]
        for worker in sorted(able, key=lambda w: w.idle_by_tenant[namespace], reverse=True)[
            :_OWN_ASKED
        ]:
            if await self._evict(worker, namespace):
                return True
        return False

    def has_room(self, template: Template | None) -> bool:
        """Does any worker say that it has a free slot for it?"""
        wanted = wanted_of(template)
        return any(can_take(worker, wanted) for worker in self._roster.workers())

    def has_others(self, avoid: set[str], template: Template | None) -> bool:
        wanted = wanted_of(template)
        workers = (w for w in self._roster.workers() if w.worker not in avoid)
        return any(not w.draining and lacks(w, wanted) is None for w in workers)

    def _in_order(self, round_: Round) -> Iterator[tuple[WorkerRecord, str]]:
        """Each choice is made when it comes to it, by what was tried until then."""
        owner = self._owner(round_)
        if owner is not None:
            yield owner, "owner"
        wanted = wanted_of(round_.template)
        while (choice := self._best(round_, wanted)) is not None:
            yield choice.worker, str(choice)
        for worker in to_make_room(self._untried(round_), wanted)[:_FULL_ASKED]:
            yield worker, "a slot came free"

    def _owner(self, round_: Round) -> WorkerRecord | None:
        """Full or draining, it is the one that has the actor."""
        record = round_.record
        if not record.is_owned:
            return None
        return next((w for w in self._untried(round_) if w.worker == record.worker), None)

    def _best(self, round_: Round, wanted: Wanted) -> Choice | None:
        return choose(
            round_.record,
            wanted,
            self._untried(round_),
            now_ms=int(time.time() * 1000),
            rng=self._rng,
        )

    def _untried(self, round_: Round) -> list[WorkerRecord]:
        out = round_.tried | round_.avoid
        return [w for w in self._roster.workers() if w.worker not in out]

    async def _follow(self, worker: WorkerRecord, why: str, round_: Round) -> Here | None:
        """Ask one worker, and the one it points to."""
        ask = msgspec.structs.replace(round_.ask, why=why)
        for _ in range(_FOLLOW):
            round_.tried.add(worker.worker)
            try:
                answer = await self._worker_at(worker).wake(ask)
            except DependencyAway:
                # It may be dead and own the actor still: others wait out its lease and take over.
                round_.away += 1
                return None
            match answer:
                case Here():
                    if answer.began:
                        log.info(
                            "worker chosen",
                            extra={"actor": str(ask.actor), "worker": worker.worker, "why": why},
                        )
                    return answer
                case Full():
                    if answer.evictable:
                        round_.evictable.append((answer.idle_s, worker))
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

    def _why_not(self, round_: Round) -> str:
        workers = self._roster.workers()
        if not workers:
            return "no worker is registered"
        if round_.tried:
            asked = len(round_.tried)
            return f"of {asked} workers asked {round_.away} are away, the others full"
        wanted = wanted_of(round_.template)
        lacking = Counter(
            f"without {what}" if (what := lacks(w, wanted)) else "draining" for w in workers
        )
        told = ", ".join(f"{count} {what}" for what, count in lacking.most_common())
        return f"no worker could run it: of {len(workers)} {told}"

    async def _evict(self, worker: WorkerRecord, namespace: str | None = None) -> bool:
        try:
            return await self._worker_at(worker).evict(namespace)
        except DependencyAway:
            return False

    async def _known(self, worker: str) -> list[WorkerRecord]:
        known = [w for w in self._roster.workers() if w.worker == worker]
        return known or [w for w in await self._roster.refresh() if w.worker == worker]


def wanted_of(template: Template | None) -> Wanted:
    """A template that cannot be read asks nothing: the worker that reads it decides."""
    if template is None:
        return Wanted()
    return Wanted(
        template=template.key,
        runtime=template.runtime,
        requires=template.requires,
        labels=template.labels,
    )
