"""Answers of the table that are lost though the call was carried out; and Redis away in between."""

import asyncio

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.messages import Here, Refused, SuspendAsk
from placement.errors import TableUnavailable
from placement.model import ActorId, ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, HeldTable, Points

TIMES = [1, 4]


def lose(world: World, operation: str, times: int) -> None:
    assert isinstance(world.table, HeldTable)
    world.table.lose(operation, times)


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("operation", ["claim", "ready"])
async def test_a_wake_whose_answers_are_lost_is_one_wake(
    world: World, points: Points, operation: str, times: int
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        lose(world, operation, times)
        answers = await asyncio.gather(*(worker.wake(actor) for _ in range(5)))
        assert all(isinstance(a, Here) and a.epoch == 1 for a in answers)
        assert worker.driver.counted("start") == 1


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("operation", ["begin_suspend", "commit_suspend"])
async def test_p2_a_suspend_whose_answers_are_lost_is_one_suspend(
    world: World, points: Points, operation: str, times: int
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        lose(world, operation, times)
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert worker.meters.suspends["committed", "asked"] == 1
        assert worker.driver.running == set() and worker.host.free == 10
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_a_release_whose_answer_is_lost_counts_one_failure(
    world: World, points: Points
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        worker.driver.broken = True
        lose(world, "release", 3)
        assert isinstance(await worker.wake(actor), Refused)
        while worker.host.residents:
            await asyncio.sleep(0.01)
        record = await world.table.read(actor)
        assert record is not None and record.failures == 1 and not record.is_owned


@pytest.mark.parametrize("operation", ["begin_suspend", "abort_suspend"])
async def test_p4_a_request_in_time_is_served_though_answers_of_the_suspend_are_lost(
    world: World, points: Points, operation: str
) -> None:
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        (worker.data(actor) / "n").write_text("1")
        hold = points.hold(operation)
        if operation == "begin_suspend":
            await hold.came.wait()
        else:
            world.store.arrived.clear()
            world.store.go.clear()
            await world.store.arrived.wait()
        lose(world, operation, 3)
        async with asyncio.TaskGroup() as group:
            request = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            # Served at once: what the table is told may take its time.
            ticket = await request
            assert ticket.is_valid() and worker.driver.running == {slug}
            hold.go.set()
            world.store.go.set()
        ticket.close()
        while worker.host.residents:  # and idle again it sleeps after all, by the same record
            await asyncio.sleep(0.01)
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


@pytest.mark.parametrize("operation", ["begin_suspend", "abort_suspend", "commit_suspend"])
async def test_p2_redis_away_beyond_the_lease_in_a_suspend_loses_nothing(
    world: World, points: Points, operation: str
) -> None:
    """The call was carried out, its answer never came, the lease ran out under it."""
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        if operation == "abort_suspend":
            world.store.arrived.clear()
            world.store.go.clear()
            await world.store.arrived.wait()
        lose(world, operation, 10_000)
        if operation == "abort_suspend":
            (await worker.door.admit_waiting(actor, deadline=soon())).close()
        while not points.passed[f"{operation} done"]:
            await asyncio.sleep(0.005)
        before = worker.host.claimant().incarnation
        await world.leases.retire("w1", before)
        while worker.host.claimant().incarnation == before or not worker.host.has_lease():
            await asyncio.sleep(0.01)
        points.heal()
        world.store.go.set()
        until = soon()
        while not isinstance(answer := await worker.wake(actor), Here):
            assert asyncio.get_running_loop().time() < until, answer
            await asyncio.sleep(0.02)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_p3_a_claim_whose_answer_never_came_is_released_by_the_next_wake(
    world: World, points: Points
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        # As of a call that was carried out late, after the worker gave it up.
        late = await world.table.claim(actor, worker.host.claimant(), budget_ms=60_000)
        assert late.is_done
        here = await worker.woken(actor)
        assert here.epoch == 2 and len(worker.driver.running) == 1


async def test_a_program_that_ends_while_redis_is_away_keeps_its_files(
    world: World, points: Points
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        residence = worker.host.residents[actor]
        residence.ready_at -= 3600
        points.fail("begin_suspend", TableUnavailable(actor, "", "away"), times=4)
        lose(world, "commit_suspend", 3)
        (slug,) = worker.driver.running
        worker.driver.exits(slug, Exit(code=1))
        await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


@pytest.mark.parametrize("operation", ["begin_suspend", "checkpointed", "release", "abort_suspend"])
async def test_a_quick_end_whose_answers_are_lost_counts_once_and_keeps_its_files(
    world: World, points: Points, operation: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        residence = worker.host.residents[actor]
        lose(world, operation, 2)
        (slug,) = worker.driver.running
        worker.driver.exits(slug, Exit(code=1))
        await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.failures == 1 and record.snapshot is not None
        points.heal()
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_p2_a_commit_carried_out_late_is_refused_once_the_copy_is_owned_anew(
    world: World, points: Points
) -> None:
    """Sent, not executed, given up; the lease ends, the copy is claimed anew and serves. Then the
    server gets to the old call: were it taken, a running copy would be told asleep."""
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        points.fail("commit_suspend", TableUnavailable(actor, "", "lost"), times=10_000)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(_suspended(worker, actor))
            while not points.passed["commit_suspend"]:
                await asyncio.sleep(0.005)
            old = residence.record.fence()
            before = worker.host.claimant().incarnation
            await world.leases.retire("w1", before)
            await asked
        ticket = None
        while ticket is None:
            try:
                ticket = await worker.door.admit_waiting(actor, deadline=soon())
            except LifecycleError:
                await asyncio.sleep(0.01)
        points.heal()
        late = await world.table.commit_suspend(old, snapshot="late", active_ms=1)
        assert not late.is_done
        assert ticket.is_valid()
        ticket.close()


async def _suspended(worker: TestWorker, actor: ActorId) -> None:
    try:
        await worker.host.suspend(SuspendAsk(actor=actor))
    except LifecycleError:
        pass
