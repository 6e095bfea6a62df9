"""The worker: its slots, its lease, and the residences of the actors it holds.

A wake or a suspend asked of it, from this process or by RPC, ends here (`messages.Worker`). It owns
one task per residence; a caller that goes away changes nothing for the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lifecycle.errors import (
    ActorBusy,
    DependencyAway,
    LifecycleError,
    NoSuchActor,
    NotHere,
)
from lifecycle.failpoints import Point, reach
from lifecycle.host import waking
from lifecycle.host.building import Building
from lifecycle.host.comparing import Comparing
from lifecycle.host.counting import Counting
from lifecycle.host.kit import Kit
from lifecycle.host.life import live
from lifecycle.host.places import Copy, Note
from lifecycle.host.reaper import Cause, Order
from lifecycle.host.recovering import recovery
from lifecycle.host.residence import Phase, Residence
from lifecycle.messages import (
    Full,
    Here,
    Refused,
    SaveAsk,
    SuspendAsk,
    WakeAnswer,
    WakeAsk,
    WorkerStatus,
)
from placement.errors import LeaseHeld, PlacementError
from placement.leases import Lease, boot_time
from placement.model import ActorId, ActorRecord, Claimant, WorkerRecord, new_uid
from placement.tenure import Tenure
from runtimes.logs import tail
from runtimes.registry import meets

log = logging.getLogger(__name__)

_RECONCILE_S = 5.0
_REGISTER_AGAIN_S = 0.2
_EVICTABLE_S = 1.0
"""An actor idle for less than this is not evicted: its next request is probably on its way."""


class Host:
    def __init__(self, kit: Kit, *, worker: str) -> None:
        self.kit = kit
        self.worker = worker
        self.door = self.rpc = ""
        """What others are told to reach; set before `run`."""
        self._incarnation = new_uid()
        self._lease: Lease | None = None
        self.registered = asyncio.Event()
        self._residents: dict[ActorId, Residence] = {}
        self._comparing = Comparing(kit, self._residents, self._leased)
        self._counting = Counting(kit.quotas, worker, self._residents, lasts_s=kit.leases.ttl_s)
        self._unsure: set[ActorId] = set()
        self._group: asyncio.TaskGroup | None = None
        self.is_draining = False
        self._is_withdrawn = False
        self.labels: dict[str, str] = {}
        self._meets = {str(r): meets(d.capabilities()) for r, d in kit.drivers.items()}

    def __repr__(self) -> str:
        return f"<Host {self.worker} {len(self._residents)}/{self.kit.settings.slots} slots>"

    # What others look at.

    @property
    def residents(self) -> dict[ActorId, Residence]:
        return self._residents

    @property
    def free(self) -> int:
        return max(0, self.kit.settings.slots - len(self._residents))

    def has_lease(self, incarnation: str | None = None) -> bool:
        lease = self._lease
        if lease is None or (incarnation is not None and incarnation != lease.incarnation):
            return False
        return lease.is_valid(boot_time())

    def tenure(self, incarnation: str | None) -> Tenure | None:
        lease = self._lease
        return lease.tenure if lease is not None and lease.incarnation == incarnation else None

    def claimant(self) -> Claimant:
        return Claimant(worker=self.worker, incarnation=self._incarnation, door=self.door)

    def describe(self) -> WorkerRecord:
        return WorkerRecord(
            worker=self.worker,
            incarnation=self._incarnation,
            door=self.door,
            rpc=self.rpc,
            slots=self.kit.settings.slots,
            free=self.free,
            runtimes=tuple(str(r) for r in self.kit.drivers),
            labels=self.labels,
            draining=self.is_draining,
            histories=self._comparing.looked,
            meets=self._meets,
            auto=self.kit.settings.runtime,
            idle_s=self._idle_s(),
            idle_by_tenant=self._counting.idle(self._evictable()),
        )

    async def status(self) -> WorkerStatus:
        residents = [await r.describe() for r in list(self._residents.values())]
        return WorkerStatus(
            worker=self.worker,
            incarnation=self._incarnation,
            actors=tuple(residents),
            draining=self.is_draining,
        )

    # The life of the worker.

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Register, take back what an earlier incarnation left, serve until cancelled.

        `ready` is called once wakes are taken. Call `drain` before cancelling for a clean end.
        """
        places = self.kit.places
        left = await self._left_behind()
        before = places.last_incarnation()
        if before is not None:
            # We hold the directory's lock, so the process of that incarnation is dead: its lease
            # need not be waited out. Directly before we register: in between nobody has a lease,
            # and others would take over what is about to be adopted.
            await self._retire(before)
        async with asyncio.TaskGroup() as group:
            self._group = group
            await self._register()
            # No await since: no wake may find an actor absent whose copy is about to be adopted.
            for actor, copies in left.items():
                self._begin(actor, recovery(copies))
            group.create_task(self._keep_lease(), name="lease")
            group.create_task(self._reconcile(), name="reconcile")
            group.create_task(self._counting.run(), name="counting")
            if (goldens := self.kit.goldens) is not None:
                building = Building(self.kit, goldens, self.worker)
                group.create_task(building.run(), name="golden snapshots")
            ready()

    async def _retire(self, incarnation: str) -> None:
        while True:
            try:
                await self.kit.leases.retire(self.worker, incarnation)
            except PlacementError as error:
                log.warning("placement table is away", extra={"why": str(error)})
                await asyncio.sleep(_REGISTER_AGAIN_S)
            else:
                return

    async def _register(self) -> None:
        said = False
        while True:
            self.kit.places.remember_incarnation(self._incarnation)
            try:
                self._lease = await self.kit.leases.register(self.describe())
            except (PlacementError, LeaseHeld) as error:
                if not said:
                    log.warning("worker cannot register yet", extra={"why": str(error)})
                    said = True
                await asyncio.sleep(_REGISTER_AGAIN_S)
            else:
                log.info("worker registered", extra={"worker": self.worker})
                self.registered.set()
                return

    async def _keep_lease(self) -> None:
        while True:
            assert self._lease is not None
            await self._lease.run(self.describe, self._compare)
            if self._lease is not None and self._lease.is_forgotten and not self._is_withdrawn:
                self._comparing.has_forgotten("a lease that lives is not there")
            if self._is_withdrawn:
                return
            # Lost: nothing is served from here on (every ticket asks the clock); the residences
            # freeze, and own their copies again under a new incarnation or drop them.
            log.error("lease lost", extra={"worker": self.worker})
            self.kit.meters.fenced += 1
            self._lease = None
            self.registered.clear()
            self._incarnation = new_uid()
            for residence in self._residents.values():
                residence.stir()
            await self._register()

    async def _compare(self) -> None:
        # The lease ends so long after the look before. What this one finds forgotten may be served
        # until then: nobody else serves it sooner.
        lease = self._lease
        if lease is None:
            return  # withdrawn: it is given back just now
        reach(Point.HEARTBEAT_BEGIN)
        await self._comparing.compare(lease.expires_at)
        reach(Point.HEARTBEAT_COMPARED)

    def _leased(self) -> str | None:
        return self._incarnation if self.has_lease() else None

    # What its residences ask of it (kit.Owner).

    def renew_soon(self) -> None:
        if self._lease is not None:
            self._lease.renew_soon()

    async def has_lost_writes(self) -> bool:
        return await self._comparing.has_lost_writes(self.worker)

    def fell_asleep(self, record: ActorRecord) -> None:
        self._comparing.fell_asleep(record)

    def asleep(self, actor: ActorId) -> ActorRecord | None:
        return self._comparing.asleep(actor)

    async def next_lease(self, after: str) -> None:
        while self._incarnation == after or not self.has_lease():
            await self.registered.wait()
            if self._incarnation == after or not self.has_lease():
                await asyncio.sleep(_REGISTER_AGAIN_S)

    async def _left_behind(self) -> dict[ActorId, list[tuple[Copy, Note]]]:
        """The copies of earlier incarnations, by actor: a crash may have left several of one."""
        left = await asyncio.to_thread(self.kit.places.copies)
        keep = {note.handle.slug for _, note in left if note.handle is not None}
        for driver in self.kit.drivers.values():
            ended = await driver.sweep(keep)
            if ended:
                log.warning("sandboxes without a note ended", extra={"count": len(ended)})
        found: dict[ActorId, list[tuple[Copy, Note]]] = {}
        for copy, note in left:
            found.setdefault(note.actor, []).append((copy, note))
        return found

    async def _reconcile(self) -> None:
        """Release what the table says we own and we do not: calls whose answer never came."""
        while True:
            await asyncio.sleep(_RECONCILE_S)
            for actor in list(self._unsure):
                try:
                    await self._look_again(actor)
                except PlacementError:
                    break

    async def _look_again(self, actor: ActorId) -> None:
        record = await self.kit.table.read(actor)
        # No await between this look and the decision below but the release itself, which is fenced.
        if actor in self._residents:
            return
        me = self.claimant()
        if (
            record is not None
            and record.is_owned
            and (record.worker, record.incarnation) == (me.worker, me.incarnation)
        ):
            await self.kit.table.release(
                record.fence(), reason="its worker does not have it", failed=False
            )
        self._unsure.discard(actor)

    def leave_unsure(self, actor: ActorId) -> None:
        self._unsure.add(actor)

    def freed(self, residence: Residence) -> None:
        if self._residents.get(residence.actor) is residence:
            del self._residents[residence.actor]
            self._counting.freed(residence)

    # Asked of the worker (messages.Worker).

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        """Join the actor's wake or begin it. The wake outlives this caller."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ask.wait_ms / 1000
        began = False
        while True:
            residence = self._residents.get(ask.actor)
            if residence is None:
                refused = self._admit()
                if refused is not None:
                    return refused
                residence = self._begin(ask.actor)
                residence.chosen = ask.why
                began = True
            try:
                async with asyncio.timeout_at(deadline):
                    answer = await self._awake(residence)
            except TimeoutError:
                return Refused(
                    error="WakeTimedOut",
                    message=f"{ask.actor} is still waking",
                    retry_after_s=1.0,
                )
            if isinstance(answer, Here):
                return residence.here(began=began)
            if answer is not None:
                return answer

    async def _awake(self, residence: Residence) -> WakeAnswer | None:
        """How its wake ended; None when it has left since and must be looked for again."""
        is_new = not residence.awake.done()
        answer = await asyncio.shield(residence.awake)
        if isinstance(answer, Here):
            # Of one that is on its way to sleep too: at the door the request takes it back.
            if residence.phase is not Phase.GONE and (is_new or not residence.must_leave()):
                return answer
            done = residence.order_done
            if done is not None:
                # A suspend that no request takes back. Refused as busy, it stays after all.
                await asyncio.wait([done])
                if done.exception() is not None:
                    return None
        elif is_new and answer is not None:
            return answer
        # An old failure, or one that is leaving: the next one begins anew.
        await residence.ended.wait()
        return None

    def _admit(self) -> Full | Refused | None:
        """No await from here to `_begin`: the slot that was seen free is the one that is taken."""
        if not self.has_lease():
            return Refused(
                error="DependencyAway",
                message="this worker has no lease: the placement table is away",
                retry_after_s=1.0,
            )
        if self.is_draining:
            return Full(evictable=False)
        if not self.free:
            idle_s = self._idle_s()
            return Full(evictable=idle_s is not None, idle_s=idle_s or 0.0)
        return None

    def _begin(
        self, actor: ActorId, begin: Callable[[Residence], Awaitable[bool]] = waking.wake
    ) -> Residence:
        assert self._group is not None
        residence = Residence(actor, self.kit, self)
        self._residents[actor] = residence
        self._group.create_task(live(residence, begin), name=f"actor {actor}")
        return residence

    async def suspend(self, ask: SuspendAsk) -> None:
        """Carry out a suspend that somebody asked for; return when nothing of it is left here."""
        residence = self._residents.get(ask.actor)
        if residence is None:
            raise NoSuchActor(f"{ask.actor} is not at this worker", actor=ask.actor)
        await asyncio.shield(residence.awake)
        order = Order(
            cause=Cause.ASKED,
            until=residence.clock() + ask.wait_ms / 1000,
            force=ask.force,
            discard=ask.discard,
        )
        await asyncio.shield(residence.obey(order))
        await residence.ended.wait()
        await self._counting.tell()

    async def save(self, ask: SaveAsk) -> None:
        residence = self._residents.get(ask.actor)
        if residence is None:
            raise NotHere(f"{ask.actor} is not at this worker", actor=ask.actor)
        try:
            async with asyncio.timeout(ask.wait_ms / 1000):
                await asyncio.shield(residence.awake)
                await residence.saved()
        except TimeoutError:
            raise ActorBusy(f"{ask.actor} could not be saved in time", actor=ask.actor) from None

    async def evict(self, namespace: str | None = None) -> bool:
        residence = self._longest_idle(namespace)
        if residence is None:
            return False
        order = Order(cause=Cause.EVICT, until=residence.clock())
        try:
            await asyncio.shield(residence.obey(order))
        except LifecycleError:
            return False
        await residence.ended.wait()
        await self._counting.tell()
        return True

    def _idle_s(self) -> float | None:
        longest = self._longest_idle()
        return None if longest is None else round(longest.clock() - longest.gate.last_active, 3)

    def _longest_idle(self, namespace: str | None = None) -> Residence | None:
        idle = [r for r in self._evictable() if namespace in (None, r.actor.namespace)]
        return min(idle, key=lambda r: r.gate.last_active, default=None)

    def _evictable(self) -> list[Residence]:
        return [r for r in self._residents.values() if self._may_evict(r)]

    def _may_evict(self, r: Residence) -> bool:
        return (
            r.phase in (Phase.RUNNING, Phase.FROZEN)
            and r.order is None
            and not r.gate.tickets
            and not r.gate.waiting
            and not r.gate.calls
            and r.template.suspend_after_s is not None
            and r.clock() - r.gate.last_active >= _EVICTABLE_S
        )

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        try:
            record = await self.kit.table.read(actor)
        except PlacementError as error:
            raise DependencyAway(f"the placement table is away: {error}", actor=actor) from error
        if record is None:
            raise NoSuchActor(f"no actor {actor}", actor=actor)
        return await asyncio.to_thread(tail, self.kit.places.log(record.uid), tail_bytes)

    async def drain(self) -> None:
        """Take no more wakes; suspend each actor when its requests have ended. Returns when none is
        left; the caller sets the limit and may call `cut` when it is over."""
        self.is_draining = True
        reach(Point.DRAIN_BEGIN)
        self.renew_soon()  # no gateway should try this worker for another heartbeat
        while self._residents:
            residences = list(self._residents.values())
            async with asyncio.TaskGroup() as group:
                for residence in residences:
                    group.create_task(self._drain_one(residence), name=f"drain {residence.actor}")

    async def _drain_one(self, residence: Residence) -> None:
        await asyncio.shield(residence.awake)
        order = Order(cause=Cause.DRAIN, until=float("inf"))
        try:
            await asyncio.shield(residence.obey(order))
        except NoSuchActor:
            await residence.ended.wait()
        except LifecycleError as error:
            # Busy with another order, store away, fenced: still to be drained when that is over.
            log.warning("drain waits", extra={"actor": str(residence.actor), "why": str(error)})
            await asyncio.sleep(_REGISTER_AGAIN_S)
        else:
            await residence.ended.wait()
            reach(Point.DRAIN_ONE)

    def cut(self) -> int:
        """The drain's grace is over: end what is still open, so that the actors can be saved."""
        return sum(r.gate.cut_all() for r in self._residents.values())

    async def withdraw(self) -> None:
        """Give the lease back after a drain: nobody needs to wait it out."""
        reach(Point.DRAIN_WITHDRAW)
        self._is_withdrawn = True  # else its loss would make us register anew
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.tenure.end()  # whoever takes over needs not wait, so nothing is served any more
        try:
            async with asyncio.timeout(2):
                await self.kit.leases.retire(self.worker, self._incarnation)
        except (PlacementError, TimeoutError) as error:
            log.warning("lease not given back", extra={"why": str(error)})
