"""A process with a gateway's waker and its callers: wake, then suspend, again and again.

Each caller has its own actors, so that every wake is a cold one.
"""

import asyncio
import cProfile
import logging
import os
import sys
import time
from typing import Any

import uvloop

from lifecycle.messages import Here, SuspendAsk, Worker
from lifecycle.roster import Roster
from lifecycle.rpc.client import Callers, FarWorker
from lifecycle.wake import Waker
from placement.changes import Feed
from placement.model import ActorId, WorkerRecord
from scripts.bench_placement.spine import NAMESPACE, spine, tell, told

_WAKE_S = 30.0


class Gateway:
    def __init__(self, waker: Waker, roster: Roster, callers: Callers) -> None:
        self._waker = waker
        self._roster = roster
        self._callers = callers

    async def wake(self, name: str) -> tuple[float, Here]:
        began = time.perf_counter()
        deadline = asyncio.get_running_loop().time() + _WAKE_S
        here = await self._waker.find(ActorId.of(NAMESPACE, name), deadline=deadline)
        return (time.perf_counter() - began) * 1000, here

    async def suspend(self, name: str, worker: str) -> None:
        at = next(w for w in self._roster.workers() if w.worker == worker)
        ask = SuspendAsk(actor=ActorId.of(NAMESPACE, name))
        await FarWorker(at.rpc, self._callers).suspend(ask)

    async def cycles(self, names: list[str], until: float, took: list[float]) -> None:
        """One caller, until the time is over."""
        while True:
            for name in names:
                if time.perf_counter() >= until:
                    return
                took_ms, here = await self.wake(name)
                took.append(took_ms)
                await self.suspend(name, here.worker)

    async def load(self, callers: list[list[str]], seconds: float) -> dict[str, Any]:
        took: list[float] = []
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for names in callers:
                group.create_task(self.cycles(names, began + seconds, took), name=names[0])
        return {"took_ms": took, "seconds": time.perf_counter() - began}


async def main(url: str) -> None:
    callers = Callers(None)
    async with spine(url) as shared, asyncio.TaskGroup() as group:
        roster = Roster(shared.leases)
        feed = Feed(shared.redis)

        def worker_at(record: WorkerRecord) -> Worker:
            return FarWorker(record.rpc, callers)

        waker = Waker(shared.table, shared.templates, roster, worker_at)
        feed.listen(lambda change: None)
        parts = [group.create_task(part.run()) for part in (waker, roster, feed)]
        gateway = Gateway(waker, roster, callers)
        await roster.refresh()
        await feed.connected.wait()
        tell("up")
        async for ask in told():
            match ask:
                case {"load": lists, "seconds": seconds}:
                    tell(await gateway.load(lists, seconds))
                case {"wake": names}:
                    tell([(await gateway.wake(name))[1].worker for name in names])
                case {"suspend": pairs}:
                    for name, worker in pairs:
                        await gateway.suspend(name, worker)
                    tell("done")
                case _:
                    raise ValueError(f"not understood: {ask}")
        for part in parts:
            part.cancel()
    await callers.close()


if __name__ == "__main__":
    logging.disable(logging.INFO)
    profile = cProfile.Profile(time.thread_time) if "ROUSE_BENCH_PROFILE" in os.environ else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if profile is None:
            runner.run(main(sys.argv[1]))
        else:
            profile.runcall(runner.run, main(sys.argv[1]))
            profile.dump_stats(f"{os.environ['ROUSE_BENCH_PROFILE']}.gateway{os.getpid()}")
