"""Random interleavings of three workers on the real table and store, each from a seed.

A failing seed is in the message: `ROUSE_SEEDS=7 pytest tests/races/test_seeds.py` runs it alone,
`ROUSE_SEEDS=100:150` a range of others.
"""

import asyncio
import os
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement.table import Table
from tests.lifecycle.host.fakes import soon
from tests.races.seeds import SeededWorld

CLIENTS = 6
REQUESTS = 25
"""Of each client."""
BACK_S = 10.0
"""For one request after the trouble: two lease times, and a slow machine."""


def seeds() -> range:
    first, _, last = os.environ.get("ROUSE_SEEDS", "1:7").partition(":")
    return range(int(first), int(last or int(first) + 1))


@pytest.mark.parametrize("seed", seeds())
async def test_p1_p2_p3_p4_hold_in_any_order_of_events(
    redis: Redis, table: Table, tmp_path: Path, seed: int
) -> None:
    world = SeededWorld(redis, tmp_path, seed)
    async with asyncio.TaskGroup() as group:
        turns = group.create_task(world.turns.run(), name="turns")
        await world.begin()
        trouble = group.create_task(world.trouble(), name="trouble")
        async with asyncio.TaskGroup() as clients:
            for n in range(CLIENTS):
                clients.create_task(_client(world, n), name=f"client {n}")
        world.heal()
        await trouble
        for actor in world.actors:
            # P3: whatever happened, the next request is served.
            deadline = soon(BACK_S)
            while not await world.request(actor, "last", deadline):
                assert asyncio.get_running_loop().time() < deadline, f"P3: {actor} is stuck"
        await world.end()
        turns.cancel()
    print(f"\nseed {seed}: {dict(world.referee.counted)}")  # noqa: T201 # what it was made of
    assert all(world.served[actor] > REQUESTS for actor in world.actors)


async def _client(world: SeededWorld, n: int) -> None:
    actor = world.actors[n % len(world.actors)]
    for k in range(REQUESTS):
        await world.request(actor, f"{n}-{k}", soon(5.0))
        if k % 5 == n % 5:
            await asyncio.sleep(world.turns.rng.uniform(0.0, 0.25))  # long enough to be idle
