"""What a dead worker left, found by its next start, and a second mishap on the way: P1, P2, R12."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from lifecycle.messages import Here, Refused
from placement.errors import TableUnavailable
from placement.model import ActorId, ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, HeldTable, Points
from tests.races.test_leases import lose_lease


@asynccontextmanager
async def starting(world: World, driver: HeldDriver) -> AsyncIterator[TestWorker]:
    """A worker that may not have come up yet; `world.worker` waits until it has."""
    worker = TestWorker(world, "w1", 10, driver)
    worker.places.lock()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.host.run(), name="w1")
        try:
            yield worker
        finally:
            task.cancel()
    worker.places.unlock()


async def awake(worker: TestWorker, actor: ActorId) -> Here:
    until = soon()
    while not isinstance(answer := await worker.wake(actor), Here):
        assert asyncio.get_running_loop().time() < until, answer
        await asyncio.sleep(0.02)
    return answer


async def served(worker: TestWorker, actor: ActorId) -> None:
    await awake(worker, actor)
    ticket = await worker.door.admit_waiting(actor, deadline=soon())
    assert ticket.is_valid()
    ticket.close()


async def left_running(world: World, points: Points, driver: HeldDriver) -> ActorId:
    """An actor whose worker was killed; its sandbox lives on."""
    actor = await world.create("c1")
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        points.fail("stop", OSError("killed before it could"), times=100)
    points.heal()
    assert len(driver.running) == 1
    return actor


@pytest.mark.parametrize("step", ["sweep", "sweep done", "read", "take_over", "take_over done",
                                  "ready", "inspect", "freeze"])  # fmt: skip
async def test_p1_a_wake_asked_while_the_worker_starts_finds_the_copy_it_adopts(
    world: World, points: Points, step: str
) -> None:
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    (slug,) = driver.running
    hold = points.hold(step)
    async with starting(world, driver) as worker:
        await hold.came.wait()
        early = await worker.wake(actor, wait_s=0.05)
        assert isinstance(early, Refused)
        async with asyncio.TaskGroup() as group:
            group.create_task(served(worker, actor))
            hold.go.set()
        assert driver.running == {slug} and driver.counted("start") == 1
        assert len(worker.host.residents) == 1
        assert (worker.data(actor) / "n").read_text() == "7"


@pytest.mark.parametrize("step", ["take_over", "take_over done", "ready", "ready done", "freeze"])
@pytest.mark.parametrize("when", ["adopting", "regaining"])
async def test_p2_killed_again_while_it_owns_a_copy_anew_its_next_start_has_the_files(
    world: World, points: Points, step: str, when: str
) -> None:
    """Between the take-over and the note of it the record's epoch is ahead of the note's."""
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    (slug,) = driver.running
    hold = points.hold(step)
    async with starting(world, driver) as worker:
        if when == "regaining":
            points.hold(step).go.set()
            await served(worker, actor)
            hold = points.hold(step)
            await world.leases.retire("w1", worker.host.claimant().incarnation)
        await hold.came.wait()
        points.fail("stop", OSError("killed before it could"), times=100)
    points.heal()
    async with starting(world, driver) as worker:
        await served(worker, actor)
        assert driver.running == {slug}
        assert (worker.data(actor) / "n").read_text() == "7"


@pytest.mark.parametrize("operation", ["read", "take_over", "ready"])
@pytest.mark.parametrize("lost", ["the call", "the answer"])
async def test_p2_redis_away_in_mid_adoption_costs_no_copy(
    world: World, points: Points, operation: str, lost: str
) -> None:
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    (slug,) = driver.running
    name = operation if lost == "the call" else f"{operation} done"
    points.fail(name, TableUnavailable(actor, "", "away"), times=1000)
    async with starting(world, driver) as worker:
        while points.passed[name] < 2:
            await asyncio.sleep(0.01)
        await lose_lease(world, worker)
        points.heal()
        await served(worker, actor)
        assert driver.running == {slug}
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_p1_of_several_copies_of_one_actor_one_is_adopted_and_the_others_end(
    world: World, points: Points
) -> None:
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    (slug,) = driver.running
    worker = TestWorker(world, "w1", 10, driver)
    [(copy, note)] = worker.places.copies()
    for uid, epoch in ((note.uid, 0), ("0123456789abcdef", 5), (note.uid, 9)):
        other = worker.places.copy(uid, epoch)
        other.make(msgspec.structs.replace(note, uid=uid, epoch=epoch, handle=None))
    async with starting(world, driver) as worker:
        await served(worker, actor)
        assert driver.running == {slug} and len(worker.host.residents) == 1
        assert [found.path for found, _ in worker.places.copies()] == [copy.path]


async def test_a_survivor_whose_actor_went_elsewhere_is_ended(world: World, points: Points) -> None:
    await world.apply(template(idle={"suspendAfter": "1h"}))
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    async with world.worker("w2") as two:
        await awake(two, actor)
        async with starting(world, driver) as one:
            while not one.host.registered.is_set() or one.host.residents:
                await asyncio.sleep(0.01)
            assert driver.running == set() and one.places.copies() == []
            record = await world.table.read(actor)
            assert record is not None and record.worker == "w2"
            assert record.state is ActorState.RUNNING


async def test_a_survivor_of_a_wake_that_was_never_ready_is_ended_and_woken_anew(
    world: World, points: Points
) -> None:
    driver = HeldDriver(points)
    actor = await world.create("c1")
    hold = points.hold("ready")
    async with world.worker(driver=driver) as worker:
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            await hold.came.wait()
            points.fail("stop", OSError("killed before it could"), times=100)
            wake.cancel()
    points.heal()
    (slug,) = driver.running
    assert isinstance(world.table, HeldTable)
    world.table.lose("release", 2)
    async with starting(world, driver) as worker:
        await served(worker, actor)
        assert slug not in driver.running and len(driver.running) == 1


async def test_p2_a_wake_elsewhere_while_the_files_are_adopted_gets_what_they_hold(
    world: World, points: Points
) -> None:
    """Its program died with the worker: the record goes from owned to suspended under the wait."""
    driver = HeldDriver(points)
    actor = await left_running(world, points, driver)
    driver.exits(next(iter(driver.running)), Exit(signal=9))
    hold = points.hold("take_over")
    async with world.worker("w2") as two, starting(world, driver):
        await hold.came.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(served(two, actor))
            before = points.passed["read"]
            while points.passed["read"] < before + 2:  # it looks whether the record moves
                await asyncio.sleep(0.01)
            hold.go.set()
        assert (two.data(actor) / "n").read_text() == "7"
