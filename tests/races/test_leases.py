"""A lease that is lost, and had anew at once, while a copy is in the midst of something: P1, P3."""

import asyncio

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.messages import Here, SuspendAsk
from placement.model import ActorId, ActorRecord, ActorState, Claimant
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, HeldTable, Points

SLEEPY = {"freezeAfter": "10ms", "suspendAfter": "20ms"}


async def lose_lease(world: World, worker: TestWorker) -> str:
    """It runs out, and before anybody else on this worker takes notice there is another one."""
    before = worker.host.claimant().incarnation
    await world.leases.retire(worker.host.worker, before)
    while worker.host.claimant().incarnation == before or not worker.host.has_lease():
        await asyncio.sleep(0.005)
    return before


async def record_of(world: World, actor: ActorId) -> ActorRecord:
    record = await world.table.read(actor)
    assert record is not None
    return record


async def served(worker: TestWorker, actor: ActorId) -> int:
    """A request by way of this worker is let in; the epoch it was let in under."""
    until = soon()
    while asyncio.get_running_loop().time() < until:
        answer = await worker.wake(actor)
        if not isinstance(answer, Here):
            await asyncio.sleep(0.02)
            continue
        try:
            ticket = await worker.door.admit_waiting(actor, deadline=soon(5))
        except LifecycleError:
            await asyncio.sleep(0.02)
            continue
        assert ticket.is_valid()
        ticket.close()
        return worker.host.residents[actor].record.epoch
    raise AssertionError("never served")


def assert_serves_under_its_own_claim(worker: TestWorker, actor: ActorId) -> None:
    residence = worker.host.residents.get(actor)
    if residence is not None and residence.may_serve():
        assert residence.record.incarnation == worker.host.claimant().incarnation


@pytest.mark.parametrize("step", ["start", "start done", "ready", "ready done", "inspect"])
async def test_p1_a_wake_under_an_old_lease_serves_nothing_by_it(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            request = group.create_task(served(worker, actor))
            await hold.came.wait()
            await lose_lease(world, worker)
            assert_serves_under_its_own_claim(worker, actor)
            hold.go.set()
            while not request.done():
                assert_serves_under_its_own_claim(worker, actor)
                await asyncio.sleep(0)
        record = await record_of(world, actor)
        assert record.incarnation == worker.host.claimant().incarnation
        assert len(worker.driver.running) == 1


@pytest.mark.parametrize(
    "step", ["freeze", "begin_suspend", "begin_suspend done", "thaw", "abort_suspend"]
)
async def test_p1_a_suspend_taken_back_under_an_old_lease_serves_nothing_by_it(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        world.store.arrived.clear()
        world.store.go.clear()
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            if step in ("thaw", "abort_suspend"):
                await world.store.arrived.wait()
            else:
                await hold.came.wait()
            request = group.create_task(served(worker, actor))
            await hold.came.wait()
            await lose_lease(world, worker)
            assert_serves_under_its_own_claim(worker, actor)
            hold.go.set()
            world.store.go.set()
            while not request.done():
                assert_serves_under_its_own_claim(worker, actor)
                await asyncio.sleep(0)
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


@pytest.mark.parametrize(
    "step", ["begin_suspend", "begin_suspend done", "commit_suspend", "commit_suspend done", "stop"]
)
async def test_p2_an_asked_suspend_over_which_the_lease_ends_loses_nothing(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(_asked(worker, actor))
            await hold.came.wait()
            await lose_lease(world, worker)
            hold.go.set()
        assert asked.done()
        await served(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "1"
        assert len(worker.driver.running) == 1


async def _asked(worker: TestWorker, actor: ActorId) -> None:
    try:
        await worker.host.suspend(SuspendAsk(actor=actor))
    except LifecycleError:
        pass


@pytest.mark.parametrize(
    "step", ["start", "ready", "begin_suspend", "commit_suspend", "freeze", "thaw"]
)
async def test_p1_of_a_copy_taken_over_meanwhile_nothing_is_served_or_kept(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker("w1", driver=HeldDriver(points)) as one, world.worker("w2") as two:
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            request = group.create_task(one.wake(actor))
            if step == "thaw":
                while not one.driver.counted("freeze"):
                    await asyncio.sleep(0.005)
                ticket = group.create_task(_tried(one, actor))
            else:
                ticket = None
            await hold.came.wait()
            await lose_lease(world, one)
            while not isinstance(await two.wake(actor), Here):
                await asyncio.sleep(0.02)
            epoch = (await record_of(world, actor)).epoch
            hold.go.set()
            while (held := one.host.residents.get(actor)) is not None:
                assert not held.may_serve() or held.record.epoch > epoch
                if held.claimed and held.record.epoch > epoch:
                    break  # slept at w2 meanwhile and woke here anew: another copy
                await asyncio.sleep(0.005)
        assert request.done() and (ticket is None or ticket.done())


async def _tried(worker: TestWorker, actor: ActorId) -> None:
    try:
        (await worker.door.admit_waiting(actor, deadline=soon(1))).close()
    except LifecycleError:
        pass


async def test_a_lease_lost_twice_in_a_row_costs_no_copy(world: World, points: Points) -> None:
    """The second loss comes between the take-over and its answer."""
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        hold = points.hold("take_over done")
        await lose_lease(world, worker)
        await hold.came.wait()
        await lose_lease(world, worker)
        hold.go.set()
        assert await served(worker, actor) >= 3
        assert worker.driver.running == {slug}


@pytest.mark.parametrize("times", [1, 60])
@pytest.mark.parametrize("operation", ["take_over", "ready"])
async def test_an_answer_lost_while_a_copy_is_owned_again_costs_no_copy(
    world: World, points: Points, operation: str, times: int
) -> None:
    actor = await world.create("c1")
    table = world.table
    assert isinstance(table, HeldTable)
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        (worker.data(actor) / "n").write_text("1")
        table.lose(operation, times)
        await lose_lease(world, worker)
        while points.passed[operation] < 3 and times > 1:
            await asyncio.sleep(0.01)
        points.heal()
        await served(worker, actor)
        assert worker.driver.running == {slug}
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_a_crash_after_a_lost_lease_finds_the_copy_again(
    world: World, points: Points
) -> None:
    """The epoch has grown since the copy was made: its note must have grown with it."""
    actor = await world.create("c1")
    driver = HeldDriver(points)
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)
        await lose_lease(world, worker)
        await served(worker, actor)
        (worker.data(actor) / "n").write_text("1")
    async with world.worker(driver=driver) as worker:
        await served(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_p3_a_lease_that_is_away_for_long_costs_no_copy(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        hold = points.hold("read")
        await lose_lease(world, worker)
        await hold.came.wait()
        residence = worker.host.residents[actor]
        assert not residence.may_serve() and residence.is_frozen
        hold.go.set()
        assert (await record_of(world, actor)).state is not ActorState.SUSPENDED
        await served(worker, actor)
        assert worker.driver.running == {slug}


async def test_p1_a_take_over_is_never_made_in_the_name_of_an_incarnation_to_come(
    world: World, points: Points
) -> None:
    """Not registered yet, it would be taken over itself, and serve all the same once it is."""
    actor = await world.create("c1")
    dead = Claimant(worker="w9", incarnation="i9", door="d:9")
    assert (await world.table.claim(actor, dead, budget_ms=60_000)).is_done
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold("claim done")
        async with asyncio.TaskGroup() as group:
            request = group.create_task(worker.wake(actor))
            await hold.came.wait()
            before = await lose_lease(world, worker)
            taken = points.hold("take_over done")
            hold.go.set()
            await taken.came.wait()
            assert (await record_of(world, actor)).incarnation == before
            taken.go.set()
        assert request.done()
        await served(worker, actor)
        assert_serves_under_its_own_claim(worker, actor)
