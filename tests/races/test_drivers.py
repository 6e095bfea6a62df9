"""A driver, or a disk, that fails or hangs in each of its acts: no limbo, no lost file: P2, P3."""

import asyncio
from dataclasses import replace

import pytest

from lifecycle.errors import LifecycleError, NotHere
from lifecycle.host.kit import HostSettings
from lifecycle.messages import Here, Refused, SuspendAsk
from placement.model import ActorId, ActorState
from runtimes.base import RuntimeFailure
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, Points

SLEEPY = {"freezeAfter": "5ms", "suspendAfter": "1h"}
FAILURES = [RuntimeFailure("no such cgroup"), OSError(5, "Input/output error")]


async def surely(worker: TestWorker, actor: ActorId) -> None:
    until = soon()
    while asyncio.get_running_loop().time() < until:
        try:
            (await worker.door.admit_waiting(actor, deadline=soon(5))).close()
        except NotHere:
            await worker.wake(actor)
        except LifecycleError:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("never served")


@pytest.mark.parametrize("error", FAILURES, ids=["driver", "disk"])
@pytest.mark.parametrize("step", ["start", "wait", "start half"])
async def test_a7_a_start_that_fails_is_told_and_the_next_one_works(
    world: World, points: Points, step: str, error: Exception
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        points.fail(step, error)
        assert isinstance(await worker.wake(actor), Refused)
        assert isinstance(await worker.wake(actor), Here)
        assert len(worker.driver.running) == 1


@pytest.mark.parametrize("error", FAILURES, ids=["driver", "disk"])
async def test_what_cannot_be_frozen_goes_on_serving(
    world: World, points: Points, error: Exception
) -> None:
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        points.fail("freeze", error, times=3)
        while points.passed["freeze done"] == 0:
            await asyncio.sleep(0.01)
        assert points.passed["freeze"] == 4
        await surely(worker, actor)
        assert worker.driver.running == {slug}


@pytest.mark.parametrize("error", FAILURES, ids=["driver", "disk"])
async def test_p2_what_cannot_be_thawed_is_saved_and_woken_anew(
    world: World, points: Points, error: Exception
) -> None:
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        worker.host.residents[actor].ready_at -= 3600
        while not points.passed["freeze done"]:
            await asyncio.sleep(0.01)
        points.fail("thaw", error)
        await surely(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "1"
        record = await world.table.read(actor)
        assert record is not None and record.epoch == 2


@pytest.mark.parametrize("step", ["freeze", "store"])
async def test_p2_a_suspend_taken_back_by_a_driver_that_fails_loses_nothing(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        worker.host.residents[actor].ready_at -= 3600
        points.fail("thaw", RuntimeFailure("gone"))
        if step == "freeze":
            points.fail("freeze", RuntimeFailure("not now"))
        world.store.arrived.clear()
        world.store.go.clear()
        await world.store.arrived.wait()
        async with asyncio.TaskGroup() as group:
            request = group.create_task(surely(worker, actor))
            await asyncio.sleep(0)
            world.store.go.set()
            await request
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_a_program_nobody_can_watch_is_saved(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold("ready")
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.wake(actor))
            await hold.came.wait()
            points.fail("wait", RuntimeFailure("no such process"))
            (worker.data(actor) / "n").write_text("1")
            residence = worker.host.residents[actor]
            hold.go.set()
        await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.snapshot is not None and not record.is_owned
        await surely(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_who_asks_for_the_status_hears_of_the_others_too(
    world: World, points: Points
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        points.fail("inspect", RuntimeFailure("ended just now"))
        status = await worker.host.status()
        assert [r.actor for r in status.actors] == [actor]


async def test_p3_a_sandbox_that_cannot_be_ended_keeps_no_slot_and_no_caller(
    world: World, points: Points
) -> None:
    """Its directory stays for the next start to end it; the actor wakes from its snapshot."""
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        points.fail("stop", RuntimeFailure("busy"), times=2)
        try:
            await worker.host.suspend(SuspendAsk(actor=actor))
        except LifecycleError:
            pass
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        await surely(worker, actor)
        assert (worker.data(actor) / "n").read_text() == "1"
        assert worker.host.free == 9
        worker.driver.close()


@pytest.mark.parametrize("step", ["start", "stop", "freeze", "thaw"])
async def test_p3_a_driver_that_hangs_holds_nobody_for_ever(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "20ms"}))
    actor = await world.create("c1")
    limits = HostSettings(driver_s=0.2, wake_budget_s=0.5)
    async with world.worker(driver=HeldDriver(points), limits=limits) as worker:
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            request = group.create_task(_woken(worker, actor))
            if step == "thaw":
                while not points.passed["freeze done"]:
                    await asyncio.sleep(0.005)
                group.create_task(surely(worker, actor))
            await hold.came.wait()
        assert request.done()
        await surely(worker, actor)


async def _woken(worker: TestWorker, actor: ActorId) -> None:
    await worker.wake(actor)


async def test_an_open_gate_of_an_actor_that_leaves_does_not_stop_the_loop(
    world: World, points: Points
) -> None:
    """Refused while a request was let in already: its caller must not turn round without end."""
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        hold = points.hold("abort_suspend")
        world.store.arrived.clear()
        world.store.go.clear()
        await world.store.arrived.wait()
        (await worker.door.admit_waiting(actor, deadline=soon())).close()
        world.store.go.set()
        await hold.came.wait()
        record = await world.table.read(actor)
        assert record is not None
        # Another one's word in the table, as an operator's mistake could bring it there.
        stolen = replace(worker.host.claimant(), worker="w9")
        assert (await world.table.take_over(record, stolen, budget_ms=60_000)).is_done
        ending = points.hold("stop")
        hold.go.set()
        await ending.came.wait()
        async with asyncio.TaskGroup() as group:
            late = group.create_task(_asks(worker, actor))
            for _ in range(20):
                await asyncio.sleep(0)  # the loop goes on
            ending.go.set()
        assert late.done()


async def _asks(worker: TestWorker, actor: ActorId) -> None:
    """Either way it is answered: the usurper has no lease, so the actor may be woken here anew."""
    try:
        (await worker.door.admit_waiting(actor, deadline=soon(5))).close()
    except LifecycleError:
        pass
