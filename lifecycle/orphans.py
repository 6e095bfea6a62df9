"""Orphans: actors whose record names an owner that is no more, given back to nobody.

The next wake takes such an actor over by itself. This is for the others: what is listed as running
for ever, and would keep its name from being deleted, on a worker that never comes back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from lifecycle.errors import LifecycleError
from lifecycle.messages import Worker
from placement.leases import Leases
from placement.model import ActorRecord, Answer, Claimant, WorkerRecord, new_uid
from placement.repeat import until_known
from placement.table import Table

log = logging.getLogger(__name__)

_CALL_S = 5.0


async def release(
    table: Table, leases: Leases, record: ActorRecord, back: str | None = None
) -> bool:
    """Take an actor from a dead owner and give it up at once: its last snapshot stands. False when
    the owner lives, or somebody else was first.

    `back`: the owner's new incarnation, where that was asked and has nothing of it."""
    assert record.worker is not None and record.incarnation is not None  # it is owned
    if not await leases.is_over(record.worker, record.incarnation):
        return False
    if await leases.holder(record.worker) != back:
        return False  # it came back meanwhile, and must be asked first
    us = Claimant(worker=record.worker, incarnation=new_uid(), door="none")
    taken = await _surely(lambda call: table.take_over(record, us, budget_ms=2_000, call=call))
    if not taken.is_done or taken.record is None:
        return False  # another worker was first, and it lives
    fence = taken.record.fence()
    reason = f"worker {record.worker} was lost"
    released = await _surely(
        lambda call: table.release(fence, reason=reason, failed=False, call=call)
    )
    log.info("actor released from a lost worker", extra={"actor": str(record.actor)})
    return released.is_done


class Sweep:
    """Slow: a worker that was not heard of for an hour is taken for gone. Until then it may come
    back with files that are newer than any snapshot (R12)."""

    def __init__(
        self, table: Table, leases: Leases, workers: Callable[[WorkerRecord], Worker]
    ) -> None:
        self._table = table
        self._leases = leases
        self._workers = workers

    async def run(self, owned: Sequence[ActorRecord]) -> int:
        """Of these records, how many were given back. Raises PlacementError."""
        by_owner: dict[tuple[str, str], list[ActorRecord]] = {}
        for record in owned:
            if record.worker is not None and record.incarnation is not None:
                by_owner.setdefault((record.worker, record.incarnation), []).append(record)
        return sum([await self._of(*owner, left) for owner, left in by_owner.items()])

    async def _of(self, worker: str, incarnation: str, left: Sequence[ActorRecord]) -> int:
        living = await self._leases.worker(worker)
        if living is not None:
            if living.incarnation == incarnation:
                return 0
            left = await self._not_there(living, left)
        elif await self._leases.is_remembered(worker):
            return 0
        back = None if living is None else living.incarnation
        return sum([await release(self._table, self._leases, each, back) for each in left])

    async def _not_there(
        self, living: WorkerRecord, left: Sequence[ActorRecord]
    ) -> list[ActorRecord]:
        """What the worker that is back lacks: it has begun to adopt all it found, or found none."""
        try:
            status = await self._workers(living).status()
        except LifecycleError:
            return []
        there = {resident.actor for resident in status.actors}
        return [record for record in left if record.actor not in there]


async def _surely(attempt: Callable[[str], Awaitable[Answer]]) -> Answer:
    deadline = asyncio.get_running_loop().time() + _CALL_S
    return await until_known(attempt, deadline=deadline)
