"""Counting: what runs at this worker takes its places among the running actors of its namespace.

A place is taken beside the claim, held with every heartbeat, and given back when the actor left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from lifecycle.host.residence import Residence
from lifecycle.messages import There
from lifecycle.quota import KnownQuotas
from placement.model import ActorId

_TIMES = 3
"""Told so often while a place lasts."""

T = TypeVar("T")


async def with_place(r: Residence, claim: Callable[[Residence], Awaitable[T]]) -> tuple[T, bool]:
    """What `claim` gives, and whether the actor has a place to run in: both asked at once, so that
    counting costs a wake no round trip."""
    quotas = r.kit.quotas
    if quotas is None or r.actor.namespace not in quotas.limits:
        return await claim(r), True
    return await asyncio.gather(claim(r), quotas.take(r.actor, r.owner.claimant().worker))


class Counting:
    """What one worker tells. Without quotas it does nothing."""

    def __init__(
        self,
        quotas: KnownQuotas | None,
        worker: str,
        residents: Mapping[ActorId, Residence],
        *,
        lasts_s: float,
    ) -> None:
        self._quotas = quotas
        self._worker = worker
        self._residents = residents
        self._every_s = lasts_s / _TIMES
        self._left: set[ActorId] = set()
        self._stirred = asyncio.Event()
        self._telling = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Counting {len(self._left)} left>"

    async def run(self) -> None:
        if self._quotas is None:
            return
        while True:
            await self._quotas.hold(self._worker, self._running(self._quotas))
            loop = asyncio.get_running_loop()
            until = loop.time() + self._every_s
            while loop.time() < until:
                try:
                    async with asyncio.timeout_at(until):
                        await self._stirred.wait()
                except TimeoutError:
                    break
                await self.tell()

    def freed(self, r: Residence) -> None:
        if self._quotas is None or r.actor.namespace not in self._quotas.limits:
            return
        if r.awake.done() and isinstance(r.awake.result(), There):
            return  # it runs at another worker, and the place is that one's
        self._left.add(r.actor)
        self._stirred.set()

    async def tell(self) -> None:
        """Give back the places of those that left; whoever waits for one may try again then."""
        self._stirred.clear()
        # One at a time: who finds nothing left to tell still waits until it has been told.
        async with self._telling:
            if self._quotas is None or not self._left:
                return
            # One that is here again meanwhile has taken its place anew.
            left = [actor for actor in self._left if actor not in self._residents]
            self._left.clear()
            await self._quotas.leave(self._worker, left)

    def idle(self, residents: list[Residence]) -> dict[str, float]:
        """Of those that may be evicted: by namespace with a quota, how long its idlest was idle."""
        limits = {} if self._quotas is None else self._quotas.limits
        found: dict[str, float] = {}
        for r in residents if limits else ():
            if r.actor.namespace in limits:
                idle_s = round(r.clock() - r.gate.last_active, 3)
                found[r.actor.namespace] = max(idle_s, found.get(r.actor.namespace, 0.0))
        return found

    def _running(self, quotas: KnownQuotas) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for actor in self._residents:
            if actor.namespace in quotas.limits:
                names.setdefault(actor.namespace, []).append(actor.name)
        return names
