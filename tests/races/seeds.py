"""A world whose interleavings a seed picks: who goes on next at each call to the table, which
answers are lost, which calls come late, who loses a lease or dies. A referee sees every request.

Redis and the loop keep their own time, so a seed repeats its choices, not each microsecond: a
failing one fails again within a few tries.
"""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from redis.asyncio import Redis

from lifecycle.errors import LifecycleError
from lifecycle.host.gate import ActorTicket
from lifecycle.host.residence import Residence
from lifecycle.messages import Here, There
from placement.errors import PlacementError, TableUnavailable
from placement.leases import Lease, Leases, boot_time
from placement.model import ActorId, ActorRecord, ActorState, Answer, Operation, WorkerRecord
from placement.table import Table
from runtimes.base import Handle, SandboxSpec
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, template

NAMES = ("w1", "w2", "w3")
_TROUBLE = 0.06
"""Of the calls to the table, how many lose their answer, and how many come late."""


class Turns:
    """Whoever comes here waits until the seed picks them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._waiting: list[asyncio.Future[None]] = []

    async def turn(self) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        await mine

    async def run(self) -> None:
        while True:
            for _ in range(self.rng.randrange(1, 4)):
                await asyncio.sleep(0)
            self._waiting = [each for each in self._waiting if not each.done()]
            if self._waiting:
                picked = self._waiting.pop(self.rng.randrange(len(self._waiting)))
                picked.set_result(None)
            else:
                await asyncio.sleep(0.001)


class TroubledTable(Table):
    """The real one, with a turn before and after each call, lost answers and late calls."""

    def __init__(self, redis: Redis, turns: Turns, referee: "Referee") -> None:
        super().__init__(redis)
        self.turns, self.referee = turns, referee
        self.trouble = _TROUBLE
        self.late: list[tuple[Operation, ActorId, str | None, tuple[str | bytes | None, ...]]] = []

    async def read(self, actor: ActorId) -> ActorRecord | None:
        await self.turns.turn()
        return await super().read(actor)

    async def _run(
        self, operation: Operation, actor: ActorId, call: str | None, *own: str | bytes | None
    ) -> Answer:
        await self.turns.turn()
        fate = self.turns.rng.random()
        if fate < self.trouble:
            self.late.append((operation, actor, call, own))
            raise TableUnavailable(actor, call or "", "on its way")
        answer = await super()._run(operation, actor, call, *own)
        self.referee.saw(operation, actor, answer, own)
        if fate < 2 * self.trouble:
            raise TableUnavailable(actor, call or "", "lost")
        await self.turns.turn()
        return answer

    async def arrive(self) -> None:
        """A call whose client no longer waits for it is executed."""
        if self.late:
            operation, actor, call, own = self.late.pop(self.turns.rng.randrange(len(self.late)))
            answer = await super()._run(operation, actor, call, *own)
            self.referee.saw(operation, actor, answer, own)


class SlowDriver(FakeDriver):
    """Starts, freezes and thaws take as long as the seed says: much may happen meanwhile."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.turns = turns

    async def start(self, spec: SandboxSpec) -> Handle:
        await self._pause(0.15)
        return await super().start(spec)

    async def freeze(self, handle: Handle) -> None:
        await self._pause(0.03)
        await super().freeze(handle)

    async def thaw(self, handle: Handle) -> None:
        await self._pause(0.03)
        await super().thaw(handle)

    async def _pause(self, longest_s: float) -> None:
        await self.turns.turn()
        await asyncio.sleep(self.turns.rng.uniform(0.0, longest_s))


class LapsingLeases(Leases):
    """Leases that can be ended: first by the owner's clock, then in the store, as time does it."""

    def __init__(self, redis: Redis, *, ttl_s: float, margin_s: float) -> None:
        super().__init__(redis, ttl_s=ttl_s, margin_s=margin_s)
        self.held: dict[str, Lease] = {}

    async def register(self, record: WorkerRecord) -> Lease:
        lease = self.held[record.worker] = await super().register(record)
        return lease

    async def lapse(self, worker: str) -> None:
        lease = self.held[worker]
        lease.tenure.expires_at = boot_time()
        await self.retire(worker, lease.incarnation)
        lease.renew_soon()


class Referee:
    """Knows who serves, what was written where, and what a snapshot that counts must hold."""

    def __init__(self) -> None:
        self.workers: dict[str, TestWorker] = {}
        self.promoted: dict[ActorId, set[str]] = {}
        self.counted: Counter[str] = Counter()
        self.newest: Counter[ActorId] = Counter()
        """The epoch of the newest claim that was executed."""
        self._snapshots: dict[ActorId, str | None] = {}

    def saw(
        self,
        operation: Operation,
        actor: ActorId,
        answer: Answer,
        own: tuple[str | bytes | None, ...],
    ) -> None:
        """A call was executed. A promotion's copy still stands as it was saved."""
        self.counted[f"{operation} {answer.outcome}"] += 1
        if answer.record is not None:
            self.newest[actor] = max(self.newest[actor], answer.record.epoch)
        if operation not in (Operation.COMMIT_SUSPEND, Operation.CHECKPOINTED):
            return
        record = answer.record
        if not answer.is_done or record is None or record.snapshot is None:
            return
        if self._snapshots.get(actor) == record.snapshot:
            return  # the same call, known already
        self._snapshots[actor] = record.snapshot
        worker = self.workers.get(str(own[2]))
        if worker is not None and actor in worker.host.residents:
            self.promoted[actor] = lines(worker.data(actor) / "log")

    def serves(self, residence: Residence, log: Path) -> None:
        """At each first byte: no other copy may serve (P1), this one has what was saved (P2)."""
        actor = residence.actor
        self.look(actor)
        newest = self.newest[actor]
        assert residence.record.epoch == newest, f"P1: {residence} serves, {newest} was claimed"
        missing = self.promoted.get(actor, set()) - lines(log)
        assert not missing, f"P2: {actor} woke without {sorted(missing)[:3]} that were saved"

    def look(self, actor: ActorId) -> None:
        serving = [
            name
            for name, worker in self.workers.items()
            if (r := worker.host.residents.get(actor)) is not None
            and r.gate.is_open
            and r.may_serve()
        ]
        assert len(serving) <= 1, f"P1: {actor} may be served at {serving}"


def lines(log: Path) -> set[str]:
    return set(log.read_text().split()) if log.exists() else set()


class SeededWorld:
    """Three workers, two actors, clients, and trouble as the seed says."""

    def __init__(self, redis: Redis, directory: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.turns = Turns(self.rng)
        self.referee = Referee()
        self.table = TroubledTable(redis, self.turns, self.referee)
        self.world = World(redis, self.table, directory)
        self.leases = LapsingLeases(redis, ttl_s=1.0, margin_s=0.1)
        self.world.leases = self.leases
        self.drivers = {name: SlowDriver(self.turns) for name in NAMES}
        self.actors: list[ActorId] = []
        self.served: Counter[ActorId] = Counter()
        self._stacks: dict[str, AsyncExitStack] = {}

    async def begin(self) -> None:
        # Half of the seeds suspend often. The others stay long enough to be taken over in service.
        is_restless = self.rng.random() < 0.5
        idle = {
            "freezeAfter": "20ms" if is_restless else "400ms",
            "suspendAfter": "60ms" if is_restless else "600ms",
        }
        await self.world.apply(template(idle=idle))
        for name in ("c1", "c2"):
            actor = ActorId.of("demo", name)
            _ = await Table(self.world.redis).create(actor, template="counter")
            self.actors.append(actor)
        for name in NAMES:
            await self.start(name)

    async def start(self, name: str) -> None:
        stack = self._stacks[name] = AsyncExitStack()
        worker = await stack.enter_async_context(self.world.worker(name, driver=self.drivers[name]))
        self.referee.workers[name] = worker

    async def stop(self, name: str) -> None:
        """As a process dies: from now on nobody is taken in, nothing is saved or given back."""
        self.referee.workers[name].host.is_draining = True
        await self._stacks.pop(name).aclose()
        self.referee.workers.pop(name)

    async def end(self) -> None:
        for name in list(self._stacks):
            await self.stop(name)
        for driver in self.drivers.values():
            driver.close()
        await self.world.vault.close()

    # A request, as gateway and door make it.

    async def request(self, actor: ActorId, number: str, deadline: float) -> bool:
        """Was it answered by `deadline`? It may be tried at several doors; once its first byte is
        out it is not repeated."""
        loop = asyncio.get_running_loop()
        while loop.time() < deadline:
            name = await self._find(actor, deadline)
            worker = self.referee.workers.get(name)
            if worker is None:
                continue
            try:
                ticket = await worker.door.admit_waiting(actor, deadline=deadline)
            except (LifecycleError, PlacementError):
                continue
            try:
                return await self._exchange(actor, worker, ticket, number)
            finally:
                ticket.close()
        return False

    async def _find(self, actor: ActorId, deadline: float) -> str:
        with suppress(PlacementError):
            record = await self.table.read(actor)
            if (
                record is not None
                and record.state is ActorState.RUNNING
                and self.rng.random() < 0.6
            ):
                return str(record.worker)
        name = self.rng.choice(NAMES)
        worker = self.referee.workers.get(name)
        if worker is None:
            await asyncio.sleep(0.01)
            return name
        answer = await worker.wake(actor, wait_s=deadline - asyncio.get_running_loop().time())
        if isinstance(answer, There):
            return answer.worker
        if not isinstance(answer, Here):
            await asyncio.sleep(0.01)
        return name

    async def _exchange(
        self, actor: ActorId, worker: TestWorker, ticket: ActorTicket, number: str
    ) -> bool:
        cut: list[bool] = []
        ticket.on_cut(lambda: cut.append(True))
        residence = worker.host.residents[actor]
        log = worker.data(actor) / "log"
        await self.turns.turn()  # as long as a connection takes
        if not ticket.is_valid():
            return False
        self.referee.serves(residence, log)
        with log.open("a") as file:
            file.write(f"{number}\n")
        await self.turns.turn()
        await asyncio.sleep(self.rng.uniform(0.0, 0.04))  # as long as the actor takes
        if not ticket.is_valid():
            # P4: only a lease that ended, a stop, or an end of its own cuts a request.
            stopped = worker.host.is_draining
            lost = stopped or not residence.has_lease() or cut or residence.exit
            assert lost, f"P4: {residence} froze under a request"
            return False
        self.referee.serves(residence, log)
        assert number in lines(log), "P4: the copy was taken away under a request"
        self.served[actor] += 1
        return True

    # Trouble.

    async def trouble(self) -> None:
        """Now and then a late call, a lease that ends, a worker that is stopped and comes back;
        until `heal`."""
        while self.table.trouble:
            await asyncio.sleep(self.rng.uniform(0.01, 0.1))
            await self.turns.turn()
            for actor in self.actors:
                self.referee.look(actor)
            what = self.rng.random()
            if what < 0.5:
                await self.table.arrive()
                continue
            busy = [name for name, worker in self.referee.workers.items() if worker.host.residents]
            name = self.rng.choice(busy or NAMES)
            if what < 0.9:
                self.referee.counted["lease ended"] += 1
                await self.leases.lapse(name)
            else:
                self.referee.counted["worker stopped"] += 1
                await self.stop(name)
                await self.start(name)

    def heal(self) -> None:
        self.table.trouble = 0.0
        self.table.late.clear()
