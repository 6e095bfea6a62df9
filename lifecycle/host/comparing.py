"""Before each renewal of its lease a worker compares what it runs with the records: a lease that
lives says that the table named every copy here a ttl ago at most, or that it is in doubt."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping

from lifecycle.host.kit import Kit
from lifecycle.host.reasserting import tell_committed
from lifecycle.host.residence import Phase, Residence
from placement.errors import RecordRefused
from placement.forgotten import Verdict, judge
from placement.leases import boot_time
from placement.model import ActorId, ActorRecord, ActorState

log = logging.getLogger(__name__)

_LOSSY_S = 60.0
"""After the table was found to have lost writes: how long a missing record is taken for lost."""
_ASLEEP_S = 30.0
_MOST_ASLEEP = 8192
"""Of answered suspends: replicas are behind by less."""
_SERVED = (ActorState.RUNNING, ActorState.SUSPENDING)


class Comparing:
    """What one worker knows of the table's memory."""

    def __init__(
        self, kit: Kit, residents: Mapping[ActorId, Residence], holds: Callable[[], str | None]
    ) -> None:
        self._kit = kit
        self._residents = residents
        self._holds = holds
        """The incarnation whose lease lives by our own clock."""
        self._histories: tuple[str, ...] | None = None
        self._looked_as: str | None = None
        """Our incarnation at the last look."""
        self._lossy_until = 0.0
        self._asleep: OrderedDict[ActorId, tuple[float, ActorRecord]] = OrderedDict()
        self.looked: tuple[str, ...] = ()
        """Histories under which nothing that runs here is in doubt."""

    def __repr__(self) -> str:
        return f"<Comparing under {self._histories}, {len(self._asleep)} asleep>"

    # What may be forgotten.

    def fell_asleep(self, record: ActorRecord) -> None:
        now = boot_time()
        self._asleep[record.actor] = (now, record)
        self._asleep.move_to_end(record.actor)
        while self._asleep:
            _, (at, _) = first = next(iter(self._asleep.items()))
            if at > now - _ASLEEP_S and len(self._asleep) <= _MOST_ASLEEP:
                return
            del self._asleep[first[0]]

    def asleep(self, actor: ActorId) -> ActorRecord | None:
        found = self._asleep.get(actor)
        return None if found is None else found[1]

    # Whether something was.

    def has_forgotten(self, why: str) -> None:
        if boot_time() >= self._lossy_until:
            log.error("table has lost writes, or may have", extra={"why": why})
        self._lossy_until = boot_time() + _LOSSY_S

    async def has_lost_writes(self, worker: str) -> bool:
        """Raises PlacementError."""
        if boot_time() < self._lossy_until:
            return True
        if await self._kit.leases.histories.now() != (self._histories or ()):
            self.has_forgotten("another server, or a new start")
        mine = self._holds()
        if mine is not None and await self._kit.leases.holder(worker) != mine:
            self.has_forgotten("a lease that lives is not there")
        return boot_time() < self._lossy_until

    async def compare(self, until: float) -> None:
        """One look. What is found in doubt may serve `until` then (`boot_time`). Raises
        Unavailable: then nothing is known, and no lease renewed."""
        # In this order: what an answer was given before is in the records, or they forgot it.
        histories = await self._kit.leases.histories.now()
        is_new = self._histories is not None and histories != self._histories
        if is_new:
            self.has_forgotten("another server, or a new start")
        mine = {
            actor: r.record
            for actor, r in self._residents.items()
            if r.claimed and r.record.state in _SERVED and r.phase is not Phase.GONE
        }
        for actor, seen in (await self._read(list(mine))).items():
            if judge(mine[actor], seen) is not Verdict.KNOWN:
                r = self._residents.get(actor)
                # Left since, or owned anew: then this look was of the copy before.
                if r is not None and r.claimed and r.record.epoch == mine[actor].epoch:
                    if r.doubted_until is None:
                        r.doubted_until = until
                    r.stir()
        if is_new and not await self._commit_again():
            return  # nothing is told before the next look
        self._histories, self._looked_as = histories, self._holds()
        # One that is fenced serves nothing before all have looked, this worker among them.
        if not any(
            r.doubted_until is not None and r.phase is not Phase.FENCED
            for r in self._residents.values()
        ):
            self.looked = histories

    async def _read(self, actors: list[ActorId]) -> dict[ActorId, ActorRecord | None]:
        try:
            return await self._kit.table.read_all(actors)
        except RecordRefused as error:
            # Of a newer version: whoever wrote it will be met at the next write.
            log.error("records cannot be compared", extra={"why": str(error)})
            return {}

    async def _commit_again(self) -> bool:
        """What was put to sleep here a moment ago, and is forgotten. False when a record moved
        meanwhile. A wake that has claimed by such a record waits for this look."""
        is_whole, was_alone = True, self._holds() == self._looked_as
        slept = {actor: record for actor, (_, record) in self._asleep.items()}
        for actor, seen in (await self._read(list(slept))).items():
            r = self._residents.get(actor)
            if r is not None and r.claimed and r.record.state in _SERVED:
                continue  # woken since, by a record that knew of it
            verdict = judge(slept[actor], seen, is_lossy=True, was_alone=was_alone)
            if verdict is Verdict.OURS:
                answer = await self._kit.table.recommit(slept[actor], seen)
                is_whole &= answer.is_done
                if answer.is_done:
                    tell_committed(self._kit.meters.forgotten, slept[actor])
        return is_whole
