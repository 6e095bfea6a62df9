"""The worker as a whole: slots, joining, drain, lease and what it answers when it is asked.

How one actor wakes and sleeps is test_waking's and test_sleeping's.
"""

import asyncio

import pytest

from lifecycle.errors import DependencyAway, NoSuchActor
from lifecycle.messages import Full, Here, Refused, SuspendAsk, WakeAsk
from placement.connect import connect
from placement.model import ActorId, ActorState
from placement.table import Table
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon, template


async def test_slots_are_taken_when_the_wake_begins_and_free_when_it_ended(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker(slots=1) as worker:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            waking = group.create_task(worker.wake(first))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            assert worker.host.free == 0
            assert await worker.wake(second) == Full(evictable=False)
            worker.driver.broken = True
            worker.driver.go.set()
        assert isinstance(waking.result(), Refused)
        while worker.host.residents:
            await asyncio.sleep(0.005)
        worker.driver.broken = False
        assert worker.host.free == 1 and isinstance(await worker.wake(second), Here)


async def test_no_more_actors_than_slots_however_many_ask_at_once(world: World) -> None:
    actors = [await world.create(f"c{n}") for n in range(12)]
    async with world.worker(slots=5) as worker:
        answers = await asyncio.gather(*(worker.wake(actor) for actor in actors))
        assert sum(isinstance(a, Here) for a in answers) == 5
        assert sum(isinstance(a, Full) for a in answers) == 7
        assert worker.driver.counted("start") == 5 and worker.host.free == 0


async def test_a_worker_without_a_lease_begins_nothing(world: World) -> None:
    """R24: and says that it is the table that is away, not the actor that fails."""
    actor = await world.create("c1")
    worker = TestWorker(world, "w1", 10, FakeDriver())
    answer = await worker.host.wake(WakeAsk(actor=actor, wait_ms=1000))
    assert isinstance(answer, Refused) and answer.error == "DependencyAway"
    assert answer.retry_after_s is not None


async def test_what_it_says_of_itself_is_what_the_table_tells(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1", slots=3) as worker:
        await worker.woken(actor)
        told = worker.host.describe()
        assert (told.worker, told.slots, told.free, told.runtimes) == ("w1", 3, 2, ("process",))
        while True:
            (record,) = await world.leases.workers()
            if record.free == 2:
                break
            await asyncio.sleep(0.01)
        assert (record.door, record.rpc) == ("unix:/w1/door", "unix:/w1/rpc")
        assert repr(worker.host) == "<Host w1 1/3 slots>"


async def test_the_status_tells_each_actor_as_it_is_here(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "never", "suspendAfter": "never"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        status = await worker.host.status()
        (resident,) = status.actors
        assert (resident.actor, resident.state, resident.tickets) == (actor, "running", 1)
        assert resident.pid is not None and resident.runtime == "process"
        assert status.incarnation == worker.host.claimant().incarnation
        ticket.close()


async def test_the_log_of_a_suspended_actor_can_still_be_read(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        worker.places.log(here.uid).write_bytes(b"first\nlast\n")
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert await worker.host.logs(actor, 5) == b"last\n"
        with pytest.raises(NoSuchActor):
            await worker.host.logs(ActorId("demo", "nobody"), 5)


async def test_without_the_table_the_log_is_away_and_no_foreign_error(world: World) -> None:
    nowhere = connect(f"unix://{world.directory}/nowhere.sock")
    world.table = Table(nowhere)
    worker = TestWorker(world, "w1", 10, FakeDriver())
    with pytest.raises(DependencyAway, match="table"):
        await worker.host.logs(ActorId("demo", "c1"), 5)
    await nowhere.aclose()


async def test_a_drain_is_in_the_table_before_its_last_actor_is_gone(world: World) -> None:
    actor, other = await world.create("c1"), await world.create("c2")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(worker.host.drain())
            while not (await world.leases.workers())[0].draining:
                await asyncio.sleep(0.01)
            assert ticket.is_valid() and not draining.done()
            assert await worker.wake(other) == Full(evictable=False)
            ticket.close()
        assert worker.host.residents == {}


async def test_a36_cutting_ends_a_drain_that_a_stream_holds_up(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        ticket.on_cut(ticket.close)  # as the relay does
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(worker.host.drain())
            while worker.host.residents[actor].order is None:
                await asyncio.sleep(0.005)
            assert worker.host.cut() == 1
        assert draining.done()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot


async def test_after_a_withdrawal_nobody_waits_for_the_lease(world: World) -> None:
    async with world.worker("w1") as worker:
        incarnation = worker.host.claimant().incarnation
        assert await world.leases.holder("w1") == incarnation
        await worker.host.withdraw()
        assert await world.leases.holder("w1") is None
        assert await world.leases.workers() == [] and not worker.host.has_lease()


async def test_a_worker_that_starts_again_need_not_wait_for_its_own_old_lease(
    world: World,
) -> None:
    async with world.worker("w1") as worker:
        before = worker.host.claimant().incarnation
    assert await world.leases.holder("w1") == before  # stopped at once: it lives on
    async with world.worker("w1") as worker:
        assert worker.host.claimant().incarnation != before and worker.host.has_lease()


async def test_an_id_that_another_worker_has_is_waited_for(world: World) -> None:
    """Two data directories, one id by mistake: the second serves nothing while the first lives."""
    async with world.worker("w1") as first:
        second = TestWorker(world, "w1", 10, FakeDriver())
        second.places.root.joinpath("incarnation").unlink()  # not its own predecessor
        async with asyncio.TaskGroup() as group:
            running = group.create_task(second.host.run())
            while not second.places.last_incarnation():
                await asyncio.sleep(0.01)
            answer = await second.host.wake(WakeAsk(actor=ActorId("demo", "c"), wait_ms=100))
            assert isinstance(answer, Refused) and not second.host.registered.is_set()
            await first.host.withdraw()
            await second.host.registered.wait()
            running.cancel()


async def test_a_record_that_names_us_for_what_we_lack_is_released(world: World) -> None:
    """A claim of ours was carried out and its answer lost."""
    actor = await world.create("c1")
    async with world.worker() as worker:
        await world.table.claim(actor, worker.host.claimant(), budget_ms=60_000)
        worker.host.leave_unsure(actor)
        await worker.host._look_again(actor)
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        assert record.reason == "its worker does not have it" and record.failures == 0
        assert worker.host._unsure == set()


async def test_what_we_do_have_is_not_released_as_unsure(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        worker.host.leave_unsure(actor)
        await worker.host._look_again(actor)
        ticket = await worker.door.admit_waiting(actor, uid=here.uid, deadline=soon())
        assert ticket.is_valid()
        ticket.close()
