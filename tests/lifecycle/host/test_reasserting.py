"""What a copy does whose record is not what it was. Servers that forget, and who serves meanwhile:
tests/races/test_forgotten; the judgement itself: tests/placement/test_forgotten."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from lifecycle.messages import SuspendAsk
from placement import keys
from placement.model import ActorId, ActorState, Claimant
from placement.table import Table
from tests.lifecycle.host.fakes import TEMPLATE, TestWorker, World, soon
from tests.races.test_leases import served

OTHER = Claimant(worker="w9", incarnation="i9", door="d:9")


@pytest.fixture
async def world(redis: Redis, tmp_path: Path) -> AsyncIterator[World]:
    """Its records are put back as they were: no history of epochs that only grow."""
    made = World(redis, Table(redis), tmp_path)
    await made.apply(TEMPLATE)
    yield made
    await made.vault.close()


async def put_back(world: World, actor: ActorId, packed: Any) -> None:
    await world.redis.set(keys.actor_key(actor), packed)


async def raw(world: World, actor: ActorId) -> Any:
    return await world.redis.get(keys.actor_key(actor))


async def gone(worker: TestWorker, actor: ActorId) -> None:
    deadline = soon()
    while actor in worker.host.residents:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_copy_whose_claim_is_forgotten_is_owned_anew_under_its_open_requests(
    world: World,
) -> None:
    actor = await world.create("c1")
    before = await raw(world, actor)
    async with world.worker() as worker:
        first = await worker.woken(actor)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        await put_back(world, actor, before)
        worker.host.renew_soon()
        while not worker.meters.forgotten["owned"]:
            await asyncio.sleep(0.01)
            assert ticket.is_valid()
        ticket.close()
        record = await world.table.read(actor)
        assert record is not None and record.epoch == first.epoch + 1
        assert record.state is ActorState.RUNNING and worker.driver.counted("start") == 1


async def test_a_copy_that_somebody_else_has_by_now_ends(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        record = await world.table.read(actor)
        assert record is not None
        taken = await world.table.take_over(record, OTHER, budget_ms=60_000)
        worker.host.renew_soon()
        await gone(worker, actor)
        assert worker.driver.running == set() and worker.meters.forgotten["ended"] == 1
        assert await world.table.read(actor) == taken.record


async def test_a_copy_of_a_deleted_actor_ends(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        await world.redis.delete(keys.actor_key(actor))
        worker.host.renew_soon()
        await gone(worker, actor)
        assert worker.driver.running == set()


async def test_a_write_that_is_refused_by_a_forgetful_record_is_made_again(world: World) -> None:
    """Before any look found it: the suspend itself does."""
    actor = await world.create("c1")
    before = await raw(world, actor)
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        await put_back(world, actor, before)
        await worker.host.suspend(SuspendAsk(actor=actor))
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        assert record.snapshot is not None
        await served(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_a_worker_that_holds_by_a_forgotten_suspend_commits_it_again(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        running = await raw(world, actor)
        await worker.host.suspend(SuspendAsk(actor=actor))
        await put_back(world, actor, running)
        await worker.woken(actor)
        assert worker.meters.forgotten["committed"] == 1
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_of_two_that_serve_the_durable_one_waits_until_the_other_has_stopped(
    world: World,
) -> None:
    actor = await world.create("c1")
    before = await raw(world, actor)
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        await one.host.suspend(SuspendAsk(actor=actor))
        await one.woken(actor)  # of epoch 2, with a snapshot
        mine = one.host.residents[actor]
        await put_back(world, actor, before)
        claimed = await world.table.claim(actor, two.host.claimant(), budget_ms=60_000)
        assert claimed.record is not None
        theirs = await world.table.ready(claimed.record.fence())
        assert theirs.record is not None and theirs.record.epoch < mine.record.epoch
        one.host.renew_soon()
        while not one.meters.forgotten["owned"]:
            record = await world.table.read(actor)
            if record is not None and record.worker == "w1":
                assert not mine.gate.is_open
            await asyncio.sleep(0.01)
        record = await world.table.read(actor)
        assert record is not None and record.worker == "w1"
        assert record.snapshot == mine.record.snapshot is not None
