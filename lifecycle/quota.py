"""Quotas as the waker and the host use them: limits from memory, and no say where they cannot be
asked. A quota is no safety promise: with the table half away it lets through rather than refuses.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from lifecycle.errors import QuotaReached
from placement.errors import PlacementError
from placement.model import ActorId
from placement.quotas import Quotas

log = logging.getLogger(__name__)

_EVERY_S = 5.0
"""The feed tells of a change; this is for the word that was lost."""
_TELL_S = 2.0
"""What a heartbeat or the end of a suspend waits for the count, at most."""


class KnownQuotas:
    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self._limits: Mapping[str, int] = {}
        self._stirred = asyncio.Event()
        self._is_away = False
        self.refused: Counter[str] = Counter()
        """Wakes that this process refused, by namespace; of those with a quota only."""

    def __repr__(self) -> str:
        return f"<KnownQuotas of {len(self._limits)} namespaces>"

    @property
    def limits(self) -> Mapping[str, int]:
        return self._limits

    def forget(self) -> None:
        """Some quota changed, or may have."""
        self._stirred.set()

    async def run(self) -> None:
        while True:
            self._stirred.clear()
            await self.refresh()
            try:
                async with asyncio.timeout(_EVERY_S):
                    await self._stirred.wait()
            except TimeoutError:
                pass

    async def refresh(self) -> None:
        try:
            self._limits = await self.quotas.all()
            self._is_away = False
        except PlacementError as error:
            self._say_away(error)

    async def has_room(self, actor: ActorId) -> bool:
        """Could it run beside what its namespace has running? Asked beside the record's read, so it
        costs a wake no round trip."""
        limit = self._limits.get(actor.namespace)
        if limit is None:
            return True
        try:
            return (await self.quotas.look(actor.namespace, limit, actor.name))[0]
        except PlacementError as error:
            self._say_away(error)
            return True

    async def take(self, actor: ActorId, worker: str) -> bool:
        """The place itself. Asked beside the claim; False: give the claim back."""
        limit = self._limits.get(actor.namespace)
        if limit is None:
            return True
        try:
            return await self.quotas.take(actor, worker, limit)
        except PlacementError as error:
            self._say_away(error)
            return True

    async def hold(self, worker: str, names: Mapping[str, Sequence[str]]) -> None:
        """By namespace, what runs at this worker; of those with a quota."""
        try:
            async with asyncio.timeout(_TELL_S):
                for namespace, running in names.items():
                    await self.quotas.hold(namespace, worker, running)
            self._is_away = False
        except (PlacementError, TimeoutError) as error:
            self._say_away(error)

    async def leave(self, worker: str, actors: Sequence[ActorId]) -> None:
        """Not here any more. Unheard, their places lapse by themselves."""
        gone: dict[str, list[str]] = {}
        for actor in actors:
            gone.setdefault(actor.namespace, []).append(actor.name)
        try:
            async with asyncio.timeout(_TELL_S):
                for namespace, names in gone.items():
                    await self.quotas.leave(namespace, worker, names)
        except (PlacementError, TimeoutError) as error:
            self._say_away(error)

    def refusal(self, actor: ActorId) -> QuotaReached:
        self.refused[actor.namespace] += 1
        limit = self._limits.get(actor.namespace, 0)
        return QuotaReached(
            f"namespace {actor.namespace} has {limit} running actors, as many as it may",
            actor=actor,
        )

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("quotas are not counted now", extra={"why": str(error)})
        self._is_away = True
