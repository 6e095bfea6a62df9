"""The list of workers: from memory for those in a hurry, and what stays when the table is away."""

import asyncio

import pytest
from redis.asyncio import Redis

from lifecycle.roster import Roster
from placement.connect import connect
from placement.leases import Leases
from tests.lifecycle.host.fakes import World


async def test_what_was_read_is_there_without_waiting(world: World) -> None:
    roster = Roster(world.leases)
    assert roster.workers() == []
    async with world.worker("w1"), world.worker("w2"):
        await roster.refresh()
        assert [w.worker for w in roster.workers()] == ["w1", "w2"]


async def test_run_finds_a_worker_that_comes_and_drops_one_whose_lease_ended(world: World) -> None:
    roster = Roster(world.leases)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(roster.run())
        async with world.worker("w1") as worker:
            while not roster.workers():
                await asyncio.sleep(0.01)
            await worker.host.withdraw()
            while roster.workers():
                await asyncio.sleep(0.01)
        running.cancel()


async def test_while_the_table_is_away_the_last_list_holds_and_it_is_said_once(
    world: World, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = connect(f"unix://{world.directory}/nowhere.sock")
    away = Leases(nowhere, ttl_s=1, margin_s=0.1)
    roster = Roster(world.leases)
    async with world.worker("w1"):
        known = await roster.refresh()
        roster._leases = away
        for _ in range(3):
            assert await roster.refresh() == known
        assert [r.message for r in caplog.records].count("worker list is not renewed") == 1
        roster._leases = world.leases
        await roster.refresh()
        roster._leases = away
        await roster.refresh()
        assert [r.message for r in caplog.records].count("worker list is not renewed") == 2
    await nowhere.aclose()
