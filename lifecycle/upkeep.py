"""Upkeep: what a cluster of workers needs done now and then, by one of them: snapshots that nobody
needs are removed, names that fell out of the index are entered again, actors of workers that never
came back are given back.

Nothing depends on it but disk space and listings; doing it twice does no harm.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from lifecycle.host.golden import is_needed
from lifecycle.orphans import Sweep
from lifecycle.roster import Roster
from lifecycle.snapshots.base import StoreError
from lifecycle.snapshots.collect import Collected, Collector
from placement.catalog import Catalog
from placement.errors import PlacementError
from placement.leases import boot_time
from placement.listing import Listing
from placement.model import ActorRecord

log = logging.getLogger(__name__)

_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    first_s: float = 60.0
    """After the start: time for the others to appear in the list of workers."""
    every_s: float = 1_800.0


class Upkeep:
    def __init__(
        self,
        worker: str,
        *,
        listing: Listing,
        roster: Roster,
        collector: Collector,
        catalog: Catalog,
        sweep: Sweep,
        settings: UpkeepSettings | None = None,
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._worker = worker
        self._listing = listing
        self._roster = roster
        self._collector = collector
        self._catalog = catalog
        self._sweep = sweep
        self._settings = settings or UpkeepSettings()
        self._clock = clock

    async def run(self) -> None:
        await asyncio.sleep(self._settings.first_s)
        while True:
            if self.is_mine():
                await self._once_or_say_why_not()
            await asyncio.sleep(self._settings.every_s)

    def is_mine(self) -> bool:
        """The first worker by name does it. Where two see different lists, both do."""
        names = [record.worker for record in self._roster.workers() if not record.draining]
        return self._worker == min(names, default="")

    async def _once_or_say_why_not(self) -> None:
        try:
            done = await self.once()
        except (PlacementError, StoreError) as error:
            log.warning("upkeep is put off", extra={"why": str(error)})
        else:
            if done.removed:
                log.info("snapshots collected", extra={"objects": done.removed})

    async def once(self) -> Collected:
        """One look at everything. Raises PlacementError, StoreError."""
        missing = await self._listing.repair()
        if missing:
            log.warning("names were missing in the index", extra={"count": missing})
        needed, owned = await self._needed()
        digests: dict[str, set[str]] = {}
        for template in await self._catalog.list():
            digests.setdefault(template.namespace, set()).add(template.digest)
        orphans = await self._sweep.run(owned)
        if orphans:
            log.warning("actors of lost workers given back", extra={"count": orphans})

        async def live(namespace: str, uid: str) -> tuple[str, ...] | None:
            if (is_golden := is_needed(namespace, uid, digests)) is not None:
                # Made anew by whoever wants it; what actors share with it they hold by their marks.
                return None if is_golden else ()
            # Of an actor that the table does not know nothing is removed here: a table that was
            # lost or is the wrong one must not cost the snapshots. Deletes remove their own.
            return needed.get(uid)

        return await self._collector.collect("", live, self._clock())

    async def _needed(self) -> tuple[dict[str, tuple[str, ...]], list[ActorRecord]]:
        """By uid, the snapshots that the table names, and the records with an owner. One that is
        promoted after this was read is spared by the collector's grace, and is in the next look."""
        needed: dict[str, tuple[str, ...]] = {}
        owned: list[ActorRecord] = []
        cursor: str | None = None
        while True:
            records, cursor = await self._listing.list(None, cursor=cursor, limit=_PAGE)
            for record in records:
                # A fork or a new actor wakes from another one's until its first own suspend.
                origin, colon, name = (record.snapshot or "").rpartition(":")
                holder = origin if colon else record.uid
                kept = needed.get(holder, ())
                needed[holder] = (*kept, name) if name else kept
                needed.setdefault(record.uid, ())
                if record.is_owned:
                    owned.append(record)
            if cursor is None:
                return needed, owned
