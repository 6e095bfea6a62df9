"""`make bench-placement`: what a wake costs beside the sandbox itself, and how that grows.

8 workers in 2 processes, 2 gateways with the callers in 2 more, the private server of `rouse up`:
all on the same cores. The driver and the vault do nothing at once, so what is measured is search,
RPC, claim, the host's own work, `ready`, and as many suspends on top.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any

import uvloop

from lifecycle.documents import parse_template
from loadtest.bench import results, table
from placement.catalog import Catalog
from placement.connect import Client, connect
from placement.listing import Listing
from placement.model import ActorId
from placement.server import PrivateServer, server_binary
from scripts.bench_placement import counting, records
from scripts.bench_placement.spine import DOCUMENT, NAMESPACE, Child

SECTION = "Placement"
WAKE = {"get", "create", "claim", "ready", "take_over", "release"}
MOST_ROUND_TRIPS = 3
_WORKERS, _PROCESSES, _GATEWAYS = 8, 2, 2
_EACH = 4
"""Actors per caller."""
_FIRST_S = 1.0
"""Before each measurement: the first wakes create the actors."""
_COUNTED = 200
_MEMORY_FROM = 10_000
"""With fewer records the server's own needs outweigh theirs."""
_PAGES = 200
_PAGE = 100
_CPU = "CPU ms: gateways + workers + server"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_placement", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--callers", default="1,8,32")
    parser.add_argument("--records", default="1000,100000", help="actors asleep beside them")
    parser.add_argument("--full", action="store_true", help="with 1,000,000 records too: minutes")
    parser.add_argument("--slots", type=int, default=100, help="of each worker")
    parser.add_argument("--dry", action="store_true", help="print only, leave results.md")
    return parser.parse_args(given)


class Bench:
    def __init__(
        self, redis: Client, server: PrivateServer, workers: list[Child], gateways: list[Child]
    ) -> None:
        assert server.pid is not None
        self._redis = redis
        self._socket = server.url.removeprefix("unix://")
        self._gateways = gateways
        self._parts = ([g.pid for g in gateways], [w.pid for w in workers], [server.pid])
        self._filled = 0

    async def speed(self, callers: int, seconds: float) -> list[str]:
        """A row: wakes/s over both gateways, what one wake took, and the processor time of one
        wake and its suspend: at the gateways and their callers, the workers, the server."""
        lists = [[f"c{caller}-{number}" for number in range(_EACH)] for caller in range(callers)]
        shares = [lists[n :: len(self._gateways)] for n in range(len(self._gateways))]
        await self._load(shares, _FIRST_S)
        before = [counting.cpu_s(pids) for pids in self._parts]
        answers = await self._load(shares, seconds)
        spent = [counting.cpu_s(pids) - was for pids, was in zip(self._parts, before, strict=True)]
        took = sorted(ms for answer in answers for ms in answer["took_ms"])
        rate = sum(len(answer["took_ms"]) / answer["seconds"] for answer in answers)
        cuts = quantiles(took, n=100)
        cpu = " + ".join(f"{1000 * each / len(took):.2f}" for each in spent)
        return [f"{rate:,.0f}", f"{cuts[49]:.2f}", f"{cuts[94]:.2f}", f"{cuts[98]:.2f}", cpu]

    async def _load(self, shares: list[list[list[str]]], seconds: float) -> list[Any]:
        return await asyncio.gather(
            *(
                gateway.ask({"load": share, "seconds": seconds})
                for gateway, share in zip(self._gateways, shares, strict=True)
                if share
            )
        )

    async def round_trips(self) -> tuple[counting.Seen, counting.Seen, float, float]:
        """What waking does and what suspending does, one after the other, and bytes of each."""
        names = [f"counted-{n}" for n in range(_COUNTED)]
        await self._wake_and_suspend(names)  # now they exist and have slept once
        async with counting.watched(self._socket) as waking:
            workers = await self._gateways[0].ask({"wake": names})
        pairs = list(zip(names, workers, strict=True))
        async with counting.watched(self._socket) as suspending:
            await self._gateways[0].ask({"suspend": pairs})
        # Bytes apart from MONITOR, whose own output would count.
        before = await counting.traffic(self._redis)
        workers = await self._gateways[0].ask({"wake": names})
        between = await counting.traffic(self._redis)
        await self._gateways[0].ask({"suspend": list(zip(names, workers, strict=True))})
        after = await counting.traffic(self._redis)
        return waking, suspending, (between - before) / _COUNTED, (after - between) / _COUNTED

    async def _wake_and_suspend(self, names: list[str]) -> None:
        workers = await self._gateways[0].ask({"wake": names})
        await self._gateways[0].ask({"suspend": list(zip(names, workers, strict=True))})

    async def fill(self, count: int) -> tuple[float, float]:
        """Bring the sleepers to `count`; bytes per record, and per entry in the index of names."""
        like = ActorId.of(NAMESPACE, "counted-0")
        begin, self._filled = self._filled, count
        before = await counting.memory(self._redis)
        await records.fill(self._redis, like, begin, count, index=False)
        between = await counting.memory(self._redis)
        await records.fill(self._redis, like, begin, count, index=True)
        after = await counting.memory(self._redis)
        await _settled(self._redis)
        # Filling ran scripts too; what they cost on average is of the wakes only.
        await self._redis.config_resetstat()
        new = count - begin
        return (between - before) / new, (after - between) / new

    async def page_ms(self) -> tuple[float, float]:
        """p50 and p95 of one page of the list, from anywhere in it."""
        listing, took = Listing(self._redis), []
        for _ in range(_PAGES):
            after = records.sleeper(random.randrange(self._filled))
            began = time.perf_counter()
            await listing.list(None, cursor=str(after), limit=_PAGE)
            took.append((time.perf_counter() - began) * 1000)
        cuts = quantiles(took, n=100)
        return cuts[49], cuts[94]


async def _settled(redis: Client) -> None:
    """Until the server has rewritten its file after the filling: that takes one of the processors,
    and is no part of a wake."""
    await redis.bgrewriteaof()
    while True:
        info: Any = await redis.info("persistence")
        if not (
            info["aof_rewrite_in_progress"]
            or info["aof_rewrite_scheduled"]
            or info["rdb_bgsave_in_progress"]
        ):
            return
        await asyncio.sleep(0.2)


async def measure(options: argparse.Namespace, home: Path) -> int:
    async with AsyncExitStack() as stack:
        server = PrivateServer(home / "redis")
        await server.start()
        stack.push_async_callback(server.stop)
        redis = connect(server.url)
        stack.push_async_callback(redis.aclose)
        parsed = parse_template(DOCUMENT)
        template = parsed.template
        await Catalog(redis).put(
            template.namespace, template.name, parsed.canonical, template.digest
        )
        workers, gateways = [], []
        names = [f"w{n}" for n in range(_WORKERS)]
        for n in range(_PROCESSES):
            words = [server.url, str(home), str(options.slots), *names[n::_PROCESSES]]
            workers.append(await Child.start("worker", *words))
            stack.push_async_callback(workers[-1].end)
        for _ in range(_GATEWAYS):
            gateways.append(await Child.start("gateway", server.url))
            stack.push_async_callback(gateways[-1].end)
        return await report(Bench(redis, server, workers, gateways), redis, options)


async def report(bench: Bench, redis: Client, options: argparse.Namespace) -> int:
    counts = [int(each) for each in options.records.split(",")]
    if options.full:
        counts.append(1_000_000)
    waking, suspending, wake_bytes, suspend_bytes = await bench.round_trips()
    per_wake = sum(waking.on_actors.values()) / _COUNTED
    per_suspend = sum(suspending.on_actors.values()) / _COUNTED
    trips = [
        ["", "round trips", "bytes both ways", "which"],
        ["cold wake", f"{per_wake:.2f}", f"{wake_bytes:,.0f}", _which(waking)],
        ["suspend", f"{per_suspend:.2f}", f"{suspend_bytes:,.0f}", _which(suspending)],
    ]
    print(table.aligned(trips), flush=True)
    speeds = [["actors asleep", "callers", "wakes/s", "p50 ms", "p95 ms", "p99 ms", _CPU]]
    sizes = [["actors asleep", "bytes per record", "per index entry", "MB per million"]]
    pages = [["actors asleep", f"page of {_PAGE}, p50 ms", "p95 ms"]]
    for count in counts:
        record, entry = await bench.fill(count)
        if count >= _MEMORY_FROM:
            # Bytes of one are megabytes of a million.
            each = (f"{size:.0f}" for size in (record, entry, record + entry))
            sizes.append([f"{count:,}", *each])
        pages.append([f"{count:,}", *(f"{ms:.1f}" for ms in await bench.page_ms())])
        for callers in (int(each) for each in options.callers.split(",")):
            row = await bench.speed(callers, options.seconds)
            speeds.append([f"{count:,}", str(callers), *row])
            print("  ".join(speeds[-1]), flush=True)
    us = await counting.script_us(redis)
    for each in (speeds, sizes, pages):
        print(f"\n{table.aligned(each)}")
    print(f"\n{us:.1f} us per script")
    if not options.dry:
        results.write(SECTION, _page([trips, speeds, sizes, pages], us, options))
        print(f"\nwritten: {results.RESULTS.name}")
    if per_wake > MOST_ROUND_TRIPS:
        print(f"failed: {per_wake:.2f} round trips per cold wake", file=sys.stderr)
        return 1
    return 0


def _which(seen: counting.Seen) -> str:
    return ", ".join(f"{name} {count / _COUNTED:g}" for name, count in seen.on_actors.most_common())


def _page(tables: list[list[list[str]]], us: float, options: argparse.Namespace) -> str:
    when = time.strftime("%Y-%m-%d", time.gmtime())
    program, _ = server_binary()
    return "\n\n".join(
        [
            f"{results.machine(when)}. {results.versions({'server': [str(program), '-v']}, [])}.",
            f"{_WORKERS} workers in {_PROCESSES} processes, {_GATEWAYS} gateways with the callers "
            "in two more, RPC over unix sockets, Redis with its file fsynced each second; driver "
            "and vault do nothing. Each wake is followed by a suspend that is not in its time: "
            f"there were as many. "
            f"{options.seconds:g} s each; {us:.0f} us of the server's per script. Files in "
            f"{tempfile.gettempdir()}, where making a directory (one a wake) takes "
            f"{_mkdir_us():.0f} us.",
            *(table.markdown(each) for each in tables),
        ]
    )


def _mkdir_us(rounds: int = 1000) -> float:
    """The one part of a wake that is the disk's: on some it outweighs all the rest."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        for number in range(rounds):
            os.mkdir(f"{directory}/{number}")
        return (time.perf_counter() - began) / rounds * 1e6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rouse-wakes-") as scratch:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            sys.exit(runner.run(measure(arguments(sys.argv[1:]), Path(scratch))))
