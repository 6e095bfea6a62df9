"""Which workers there are, as of a moment ago: read in the background, so no wake has to ask."""

import asyncio
import logging

from placement.errors import PlacementError
from placement.leases import Leases
from placement.model import WorkerRecord

log = logging.getLogger(__name__)

_EVERY_S = 0.5
_READ_S = 2.0


class Roster:
    """`workers()` never waits; `refresh` does, for a caller that found nobody."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._workers: list[WorkerRecord] = []
        self._away = False

    def workers(self) -> list[WorkerRecord]:
        return self._workers

    async def refresh(self) -> list[WorkerRecord]:
        try:
            async with asyncio.timeout(_READ_S):
                self._workers = await self._leases.workers()
        except (PlacementError, TimeoutError) as error:
            if not self._away:
                log.warning("worker list is not renewed", extra={"why": str(error)})
            self._away = True
        else:
            self._away = False
        return self._workers

    async def run(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_S)
