"""Histories: whose data the table's servers have, and whether every worker has looked at it.

A server that is promoted or started anew has another history (its replication id), and may have
forgotten what was answered before. Until every worker has compared what it runs with the records of
that history, or its lease is over, a copy may run of which a record says nothing: who claims by
such a record waits (`settle`), and serves nothing meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError

from placement.connect import Client
from placement.errors import reaching

if TYPE_CHECKING:
    from placement.leases import Leases
    from placement.model import WorkerRecord

log = logging.getLogger(__name__)

_LOOK_S = 0.05


def have_all_looked(history: str, workers: "Iterable[WorkerRecord]") -> bool:
    """Has every worker whose lease lives compared what it runs under this history?"""
    return all(history in worker.histories for worker in workers)


class Histories:
    """What one process knows of them."""

    def __init__(self, redis: Client, leases: "Leases", clock: Callable[[], float]) -> None:
        self._redis = redis
        self._leases = leases
        self._clock = clock
        self._settled: set[str] = {""}
        self._first_seen: dict[str, float] = {}
        self._looking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Histories {len(self._settled) - 1} settled, {len(self._first_seen)} new>"

    async def now(self) -> tuple[str, ...]:
        """Of every server that takes writes; empty where they do not tell."""
        try:
            async with reaching():
                told = await self._told()
        except NoPermissionError:
            return ()
        return tuple(sorted(str(each["master_replid"]) for each in told if each))

    async def _told(self) -> list[Any]:
        if not isinstance(self._redis, RedisCluster):
            return [await self._redis.info("replication")]
        told: Any = await self._redis.info("replication", target_nodes="primaries")
        # Of one node redis-py gives the answer itself, of several one by name.
        return [told] if "role" in told else list(told.values())

    def is_settled(self, history: str) -> bool:
        return history in self._settled

    async def settle(self, history: str) -> None:
        """Return once no copy can run that this history has forgotten. Raises Unavailable."""
        if history in self._settled:
            return
        async with self._looking:  # one looks for all
            if history not in self._settled:
                await self._wait(history)
                self._settled.add(history)
                self._first_seen.pop(history, None)

    async def settle_beside(self, history: str, worker: str) -> None:
        """The same, but for this worker: for a copy of its own, on which its look waits."""
        if history not in self._settled:
            await self._wait(history, beside=worker)

    async def _wait(self, history: str, beside: str = "") -> None:
        now = self._clock()
        # Whoever has not looked by then has not renewed either: both are one step.
        until = self._first_seen.setdefault(history, now) + self._leases.ttl_s
        until += self._leases.margin_s
        said = False
        while self._clock() < until:
            workers = await self._leases.workers()
            if have_all_looked(history, (w for w in workers if w.worker != beside)):
                break
            if not said:
                log.warning("table may have forgotten writes: waiting for its workers")
                said = True
            await asyncio.sleep(_LOOK_S)
