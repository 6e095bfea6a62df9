"""A gateway's side of a wake on the shared world: roster, templates and waker, and ways to workers
that may be cut, counted and held."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lifecycle.catalogue import KnownTemplates
from lifecycle.errors import DependencyAway
from lifecycle.messages import SaveAsk, SuspendAsk, WakeAnswer, WakeAsk, Worker, WorkerStatus
from lifecycle.roster import Roster
from lifecycle.wake import Waker
from placement.leases import boot_time
from placement.model import ActorId, WorkerRecord
from tests.lifecycle.host.fakes import TestWorker, World


class Way:
    """As an RPC to one worker: answers what the worker does, unless it is cut."""

    def __init__(self, name: str, worker: Worker, calls: Counter[str], cut: set[str]) -> None:
        self._name = name
        self._worker = worker
        self._calls = calls
        self._cut = cut

    def _call(self, what: str) -> Worker:
        self._calls[f"{what} {self._name}"] += 1
        if self._name in self._cut:
            raise DependencyAway(f"worker {self._name} cannot be reached")
        return self._worker

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        return await self._call("wake").wake(ask)

    async def suspend(self, ask: SuspendAsk) -> None:
        await self._call("suspend").suspend(ask)

    async def save(self, ask: SaveAsk) -> None:
        await self._call("save").save(ask)

    async def evict(self, namespace: str | None = None) -> bool:
        return await self._call("evict").evict(namespace)

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        return await self._call("logs").logs(actor, tail_bytes)

    async def status(self) -> WorkerStatus:
        return await self._call("status").status()

    async def drain(self) -> None:
        await self._call("drain").drain()


class GatewaySide:
    def __init__(self, world: World, *workers: TestWorker, seed: int = 1) -> None:
        self.calls: Counter[str] = Counter()
        self.cut: set[str] = set()
        """Workers that cannot be reached from here."""
        self._workers = {worker.host.worker: worker.host for worker in workers}
        self.roster = Roster(world.leases)
        self.rng = random.Random(seed)
        self.waker = Waker(
            world.table,
            KnownTemplates(world.catalog, clock=boot_time),
            self.roster,
            self.worker_at,
            rng=self.rng,
            quotas=world.quotas,
        )

    def worker_at(self, record: WorkerRecord) -> Worker:
        return Way(record.worker, self._workers[record.worker], self.calls, self.cut)

    def counted(self, what: str) -> int:
        return sum(count for call, count in self.calls.items() if call.startswith(what))


@asynccontextmanager
async def gateway_side(world: World, *workers: TestWorker) -> AsyncIterator[GatewaySide]:
    side = GatewaySide(world, *workers)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(side.waker.run(), name="waker")
        await asyncio.sleep(0)
        yield side
        running.cancel()
