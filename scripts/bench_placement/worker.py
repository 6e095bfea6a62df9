"""A process with some of the workers: real hosts behind real RPC, over a driver of nothing."""

import asyncio
import cProfile
import logging
import os
import sys
import time
from pathlib import Path

import uvloop

from lifecycle.host.host import Host
from lifecycle.host.kept import Kept
from lifecycle.host.kit import HostSettings, Kit
from lifecycle.host.meters import HostMeters
from lifecycle.host.places import Places
from lifecycle.rpc.server import serving
from lifecycle.trust import Address
from runtimes.base import RuntimeClass
from scripts.bench_placement.nothing import NoDriver, NoVault
from scripts.bench_placement.spine import Spine, spine, tell, told


async def serve(name: str, spine: Spine, home: Path, slots: int, ready: asyncio.Event) -> None:
    places = Places(home / name)
    kit = Kit(
        table=spine.table,
        leases=spine.leases,
        vault=NoVault(home / "store"),
        drivers={RuntimeClass.PROCESS: NoDriver()},
        templates=spine.templates,
        places=places,
        kept=Kept(places.root / "kept", 10_000_000),
        meters=HostMeters(),
        settings=HostSettings(slots=slots),
        drop_connections=lambda key: None,
    )
    host = Host(kit, worker=name)
    address = f"{home}/{name}.sock"
    host.door, host.rpc = f"unix:{home}/{name}.door", f"unix:{address}"
    async with serving(host, None, Address(path=address)):
        await host.run(ready.set)


async def main(url: str, home: Path, slots: int, names: list[str]) -> None:
    async with spine(url) as shared, asyncio.TaskGroup() as group:
        ready = [asyncio.Event() for _ in names]
        tasks = [
            group.create_task(serve(name, shared, home, slots, event), name=name)
            for name, event in zip(names, ready, strict=True)
        ]
        for event in ready:
            await event.wait()
        tell("up")
        async for _ in told():
            tell("up")
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    logging.disable(logging.INFO)
    profile = cProfile.Profile(time.thread_time) if "ROUSE_BENCH_PROFILE" in os.environ else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        asked = main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
        if profile is None:
            runner.run(asked)
        else:
            profile.runcall(runner.run, asked)
            profile.dump_stats(f"{os.environ['ROUSE_BENCH_PROFILE']}.{sys.argv[4]}")
