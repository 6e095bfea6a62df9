"""An order to suspend, a drain, a delete or a request that comes in each phase of an actor."""

import asyncio

import pytest

from lifecycle.errors import ActorBusy, DependencyAway, LifecycleError, NotHere
from lifecycle.messages import Full, Here, SuspendAsk
from lifecycle.snapshots.base import StoreUnavailable
from placement.model import ActorId, ActorState, Outcome
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TestWorker, World, soon, template
from tests.races.failpoints import HeldDriver, Points

SLEEPY = {"freezeAfter": "5ms", "suspendAfter": "10ms"}


async def in_the_store(world: World) -> None:
    """Until an idle suspend writes its snapshot, which then stands still."""
    world.store.arrived.clear()
    world.store.go.clear()
    await world.store.arrived.wait()


async def state_of(world: World, actor: ActorId) -> ActorState:
    record = await world.table.read(actor)
    assert record is not None
    return record.state


@pytest.mark.parametrize("step", ["claim", "start", "ready", "ready done"])
async def test_a_drain_in_mid_wake_lets_it_end_and_saves_it(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            await hold.came.wait()
            drain = group.create_task(worker.host.drain())
            while not worker.host.is_draining:
                await asyncio.sleep(0)
            other = await world.create("c2")
            assert isinstance(await worker.wake(other), Full)
            hold.go.set()
        assert isinstance(wake.result(), Here) and drain.done()
        assert await state_of(world, actor) is ActorState.SUSPENDED
        assert worker.driver.running == set()


async def test_a_drain_over_which_the_lease_ends_goes_on(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        ticket.on_cut(ticket.close)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.host.drain())
            while worker.host.residents[actor].order is None:
                await asyncio.sleep(0)
            await world.leases.retire("w1", worker.host.claimant().incarnation)
        assert worker.host.residents == {}
        assert await state_of(world, actor) is ActorState.SUSPENDED


async def test_a_drain_waits_for_a_store_that_is_away(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        world.store.error = StoreUnavailable("away")
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.host.drain())
            while not worker.meters.suspends["failed", "drain"]:
                await asyncio.sleep(0.01)
            world.store.error = None
        assert await state_of(world, actor) is ActorState.SUSPENDED


async def test_a_worker_that_withdrew_does_not_register_again(world: World) -> None:
    async with world.worker() as worker:
        await worker.host.drain()
        await worker.host.withdraw()
        await asyncio.sleep(world.leases.ttl_s)  # three renewals' time
        assert await world.leases.holder("w1") is None


async def test_an_order_in_the_midst_of_an_idle_suspend_is_its_end(
    world: World, points: Points
) -> None:
    """From the order on no request takes it back: it waits and wakes the actor anew."""
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        await in_the_store(world)
        residence = worker.host.residents[actor]
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            while residence.order is None:
                await asyncio.sleep(0)
            request = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            while not residence.gate.waiting:
                await asyncio.sleep(0)
            world.store.go.set()
        assert asked.done()
        ticket = request.result()
        assert ticket.is_valid() and ticket.wake is not None and ticket.wake.kind == "cold"
        ticket.close()


@pytest.mark.parametrize("step", ["thaw", "thaw done", "abort_suspend"])
async def test_an_order_that_comes_as_a_suspend_is_taken_back_is_followed(
    world: World, points: Points, step: str
) -> None:
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        await in_the_store(world)
        hold = points.hold(step)
        residence = worker.host.residents[actor]
        async with asyncio.TaskGroup() as group:
            request = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            await hold.came.wait()
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor, wait_ms=10_000)))
            while residence.order is None:
                await asyncio.sleep(0)
            hold.go.set()
            world.store.go.set()
            (await request).close()
        assert asked.done()  # and with no error: "was wanted" is no answer to a person


async def test_p4_an_eviction_yields_to_a_wake_that_comes_meanwhile(
    world: World, points: Points
) -> None:
    await world.apply(template(idle={"freezeAfter": "never", "suspendAfter": "1h"}))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        worker.host.residents[actor].gate.last_active -= 3600
        world.store.arrived.clear()
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            evict = group.create_task(worker.host.evict())
            await world.store.arrived.wait()
            here = await worker.wake(actor, wait_s=2)
            assert isinstance(here, Here) and here.epoch == 1
            ticket = await worker.door.admit_waiting(actor, deadline=soon(2))
            world.store.go.set()
        assert evict.result() is False
        assert ticket.is_valid() and worker.driver.running == {slug}
        ticket.close()


async def test_a_wake_during_an_order_that_is_refused_finds_it_here(
    world: World, points: Points
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(_busy(worker, actor))
            while worker.host.residents[actor].order is None:
                await asyncio.sleep(0)
            answer = await worker.wake(actor, wait_s=5)
        assert asked.done() and isinstance(answer, Here) and answer.epoch == 1
        assert ticket.is_valid()
        ticket.close()


async def _busy(worker: TestWorker, actor: ActorId) -> None:
    with pytest.raises(ActorBusy):
        await worker.host.suspend(SuspendAsk(actor=actor, wait_ms=100))


async def test_a_discarding_order_ends_what_can_never_be_saved(
    world: World, points: Points
) -> None:
    """P3: its program has ended, its files cannot be written, somebody deletes it."""
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        world.store.error = StoreUnavailable("no space left")
        (slug,) = worker.driver.running
        worker.driver.exits(slug, Exit(code=1))
        while not worker.meters.suspends["failed", "exit"]:
            await asyncio.sleep(0.01)
        with pytest.raises(DependencyAway):
            await worker.host.suspend(SuspendAsk(actor=actor))
        await worker.host.suspend(SuspendAsk(actor=actor, discard=True))
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        assert record.snapshot is None
        world.store.error = None


async def test_p2_what_was_discarded_is_not_what_wakes(world: World, points: Points) -> None:
    """The files stay with no snapshot's name: the old snapshot is not what they hold."""
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("old")
        await worker.host.suspend(SuspendAsk(actor=actor))
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("new")
        world.store.error = StoreUnavailable("away")
        (slug,) = worker.driver.running
        worker.driver.exits(slug, Exit(code=1))
        while not worker.meters.suspends["failed", "exit"]:
            await asyncio.sleep(0.01)
        await worker.host.suspend(SuspendAsk(actor=actor, discard=True))
        world.store.error = None
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "old"


@pytest.mark.parametrize("step", ["claim", "claim done", "start", "ready"])
async def test_a_delete_in_mid_wake_is_refused_and_the_wake_ends_well(
    world: World, points: Points, step: str
) -> None:
    actor = await world.create("c1")
    record = await world.table.read(actor)
    assert record is not None
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold(step)
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            await hold.came.wait()
            gone = await world.table.delete(actor, record.uid)
            hold.go.set()
        if gone.is_done:  # before the claim got there
            assert not isinstance(wake.result(), Here)
        else:
            assert gone.outcome is Outcome.WRONG_STATE and isinstance(wake.result(), Here)
        while worker.host.residents and gone.is_done:
            await asyncio.sleep(0.01)
        assert len(worker.driver.running) == (0 if gone.is_done else 1)


async def test_deleted_and_made_again_it_is_another_actor(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        old = await worker.woken(actor)
        (worker.data(actor) / "n").write_text("old")
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert (await world.table.delete(actor, old.uid)).is_done
        await world.create("c1")
        new = await worker.woken(actor)
        assert new.uid != old.uid and not (worker.data(actor) / "n").exists()
        with pytest.raises(NotHere):  # by a route to the one that is gone
            await worker.door.admit_waiting(actor, uid=old.uid, epoch=old.epoch, deadline=soon(1))


async def test_a_template_deleted_in_mid_wake_does_not_end_it(world: World, points: Points) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        hold = points.hold("start")
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            await hold.came.wait()
            await world.catalog.delete("demo", "counter")
            worker.host.kit.templates.forget("demo")  # as the feed does
            hold.go.set()
        assert isinstance(wake.result(), Here)
        await worker.host.suspend(SuspendAsk(actor=actor))
        answer = await worker.wake(actor)
        assert getattr(answer, "error", "") == "NoSuchTemplate"
        while worker.host.residents:
            await asyncio.sleep(0.01)
        assert await state_of(world, actor) is ActorState.SUSPENDED


@pytest.mark.parametrize("step", ["freeze", "begin_suspend", "store", "commit_suspend", "stop"])
async def test_p2_a_program_that_ends_in_the_midst_of_its_suspend_keeps_its_files(
    world: World, points: Points, step: str
) -> None:
    """Killed while frozen, say. A request that waits meanwhile wakes it anew."""
    await world.apply(template(idle=SLEEPY))
    actor = await world.create("c1")
    async with world.worker(driver=HeldDriver(points)) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        residence = worker.host.residents[actor]
        residence.ready_at -= 3600
        (slug,) = worker.driver.running
        if step == "store":
            await in_the_store(world)
            go = world.store.go
        else:
            hold = points.hold(step)
            await hold.came.wait()
            go = hold.go
        worker.driver.exits(slug, Exit(signal=9))
        async with asyncio.TaskGroup() as group:
            request = group.create_task(_surely(worker, actor))
            while not residence.gate.waiting:
                await asyncio.sleep(0)
            go.set()
            await request
        assert (worker.data(actor) / "n").read_text() == "1"


async def _surely(worker: TestWorker, actor: ActorId) -> None:
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
