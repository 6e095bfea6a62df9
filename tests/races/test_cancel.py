"""A worker stops, or a caller leaves, at each step of wake and suspend: nothing is held."""

import asyncio
from collections.abc import Awaitable

import pytest

from lifecycle.errors import LifecycleError
from lifecycle.host.places import Places
from lifecycle.messages import Here, SuspendAsk
from placement.model import ActorId, ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, Hold, Points

WAKE = ["read", "claim", "claim done", "start", "start half", "wait", "ready", "ready done"]
SUSPEND = ["freeze", "freeze done", "begin_suspend", "begin_suspend done", "store",
           "commit_suspend", "commit_suspend done", "stop", "stop done"]  # fmt: skip
TAKE_BACK = ["thaw", "abort_suspend", "abort_suspend done"]


def hold_at(world: World, points: Points, step: str) -> Hold:
    if step != "store":
        return points.hold(step)
    world.store.arrived.clear()
    world.store.go.clear()
    return Hold(came=world.store.arrived, go=world.store.go)


async def quiet(asked: Awaitable[object]) -> None:
    try:
        await asked
    except LifecycleError:
        pass


async def awake(worker: TestWorker, actor: ActorId) -> Here:
    until = soon()
    while not isinstance(answer := await worker.wake(actor), Here):
        assert asyncio.get_running_loop().time() < until, answer
        await asyncio.sleep(0.02)
    return answer


async def ticket_of(worker: TestWorker, actor: ActorId) -> None:
    until = soon()
    while asyncio.get_running_loop().time() < until:
        await awake(worker, actor)
        try:
            ticket = await worker.door.admit_waiting(actor, deadline=soon(5))
        except LifecycleError:
            continue
        assert ticket.is_valid() and worker.host.residents[actor].gate.tickets == 1
        ticket.close()
        assert worker.host.residents[actor].gate.tickets == 0
        return
    raise AssertionError("never served")


def assert_nothing_held(worker: TestWorker) -> None:
    assert worker.driver.running == set()
    assert worker.host.residents == {} and worker.host.free == 10


async def assert_wakes_with(world: World, driver: HeldDriver, actor: ActorId, text: str) -> None:
    """The next start of the same worker: one copy, with what was written; no other directory."""
    async with world.worker(driver=driver) as worker:
        await ticket_of(worker, actor)
        assert len(driver.running) == 1
        if text:
            assert (worker.data(actor) / "n").read_text() == text
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert_nothing_held(worker)
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
    assert Places(world.directory / "w1").copies() == []


@pytest.mark.parametrize("step", [s for s in WAKE if s != "read"])
async def test_a_worker_stopped_in_mid_wake_holds_nothing(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    driver = HeldDriver(points)
    async with world.worker(driver=driver) as worker:
        hold = hold_at(world, points, step)
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            await hold.came.wait()
            wake.cancel()
    assert_nothing_held(worker)
    await assert_wakes_with(world, driver, actor, "")


@pytest.mark.parametrize("step", SUSPEND)
async def test_p2_a_worker_stopped_in_mid_suspend_loses_nothing(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    driver = HeldDriver(points)
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        hold = hold_at(world, points, step)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(quiet(worker.host.suspend(SuspendAsk(actor=actor))))
            await hold.came.wait()
            asked.cancel()
    world.store.go.set()
    assert_nothing_held(worker)
    await assert_wakes_with(world, driver, actor, "7")


@pytest.mark.parametrize("step", TAKE_BACK)
async def test_p2_a_worker_stopped_while_a_suspend_is_taken_back_loses_nothing(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle={"freezeAfter": "5ms", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    driver = HeldDriver(points)
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        arrived = hold_at(world, points, "store")
        await arrived.came.wait()
        hold = hold_at(world, points, step)
        async with asyncio.TaskGroup() as group:
            request = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            await hold.came.wait()
            request.cancel()
    world.store.go.set()
    assert_nothing_held(worker)
    await assert_wakes_with(world, driver, actor, "7")


@pytest.mark.parametrize("step", WAKE)
async def test_a27_a_caller_that_leaves_at_any_step_of_a_wake_changes_nothing(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        if step == "read":
            return await _left_at_the_door(worker, actor)
        hold = hold_at(world, points, step)
        async with asyncio.TaskGroup() as group:
            leaver = group.create_task(worker.wake(actor))
            stayer = group.create_task(worker.wake(actor))
            await hold.came.wait()
            leaver.cancel()
            hold.go.set()
        assert isinstance(stayer.result(), Here)
        await ticket_of(worker, actor)


async def _left_at_the_door(worker: TestWorker, actor: ActorId) -> None:
    await worker.woken(actor)
    residence = worker.host.residents[actor]
    residence.gate.shut()
    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
        while not residence.gate.waiting:
            await asyncio.sleep(0)
        leaver.cancel()
    assert residence.gate.waiting == 0 and residence.gate.tickets == 0
    residence.gate.open()
    await ticket_of(worker, actor)


@pytest.mark.parametrize("step", SUSPEND)
async def test_a_caller_that_leaves_at_any_step_of_a_suspend_changes_nothing(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        hold = hold_at(world, points, step)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await hold.came.wait()
            asked.cancel()
        hold.go.set()
        await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot
        assert_nothing_held(worker)


class _Killed(OSError):
    """What the fake's stop says where the worker is gone before it could kill anything."""


@pytest.mark.parametrize("lives", [True, False])
@pytest.mark.parametrize("step", [*SUSPEND, "idle"])
async def test_r12_killed_at_any_step_of_a_suspend_its_next_start_has_the_files(
    world: World, points: Points, step: str, lives: bool
) -> None:
    """As by kill -9: the sandbox stays as it was, or dies with the machine's other processes."""
    actor = await world.create("c1")
    driver = HeldDriver(points)
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        async with asyncio.TaskGroup() as group:
            if step != "idle":
                hold = hold_at(world, points, step)
                asked = group.create_task(quiet(worker.host.suspend(SuspendAsk(actor=actor))))
                await hold.came.wait()
                asked.cancel()
            points.fail("stop", _Killed(), times=1000)
    world.store.go.set()
    points.heal()
    if not lives:
        for slug in driver.running:
            driver.exits(slug, Exit(signal=9))
    await assert_wakes_with(world, driver, actor, "7")
