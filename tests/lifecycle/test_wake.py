"""The search as its callers see it: shared, bounded by each one's own time, ended with the last.

Real hosts on the real table; only the drivers are fakes. In what order workers are asked is
test_asking's.
"""

import asyncio
import time

import pytest

from lifecycle.catalogue import KnownTemplates
from lifecycle.errors import (
    DependencyAway,
    NoCapacity,
    NoSuchActor,
    ShuttingDown,
    StartFailed,
    WakeTimedOut,
)
from lifecycle.messages import Here, SuspendAsk
from lifecycle.roster import Roster
from lifecycle.wake import Waker
from placement.connect import connect
from placement.leases import boot_time
from placement.model import ActorId, ActorState
from placement.table import Table
from tests.lifecycle.gateway_side import GatewaySide, gateway_side
from tests.lifecycle.host.fakes import TTL_S, FakeDriver, World, soon, template


async def seen(side: GatewaySide, what: str) -> None:
    """Until a worker was asked."""
    while not side.counted(what):
        await asyncio.sleep(0.005)


async def test_a23_a_herd_is_one_search_and_one_call_to_a_worker(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        found = await asyncio.gather(*(side.waker.find(actor, deadline=soon()) for _ in range(200)))
        assert {here.epoch for here in found} == {1}
        assert side.counted("wake") == 1 and worker.driver.counted("start") == 1
        assert repr(side.waker) == "<Waker 0 searches, 0 callers>"


async def test_a35_two_gateways_cause_one_wake(world: World) -> None:
    actor = await world.create("c1")
    async with (
        world.worker("w1") as one,
        world.worker("w2") as two,
        gateway_side(world, one, two) as first,
        gateway_side(world, one, two) as second,
    ):
        found = await asyncio.gather(
            *(
                side.waker.find(actor, deadline=soon())
                for side in (first, second)
                for _ in range(50)
            )
        )
        assert len({(here.worker, here.epoch) for here in found}) == 1
        assert one.driver.counted("start") + two.driver.counted("start") == 1


async def test_a12_a_slow_wake_delays_no_other(world: World) -> None:
    slow, other = await world.create("slow"), await world.create("other")
    first, second = FakeDriver(), FakeDriver()
    first.go.clear()
    async with world.worker("w1", driver=first) as one, gateway_side(world, one) as only_one:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(only_one.waker.find(slow, deadline=soon()))
            await seen(only_one, "wake")
            async with world.worker("w2", driver=second) as two:
                # The other's gateway knows both; a search that would share a lock would hang here.
                async with gateway_side(world, one, two) as side:
                    side.cut.add("w1")
                    here = await side.waker.find(other, deadline=soon())
                    assert here.worker == "w2" and not waiting.done()
            first.go.set()
        assert waiting.result().worker == "w1"


async def test_what_runs_is_found_in_the_table_without_asking_a_worker(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        woken = await worker.woken(actor)
        here = await side.waker.find(actor, deadline=soon())
        assert (here.uid, here.epoch, here.door) == (woken.uid, woken.epoch, woken.door)
        assert here.phases.total == 0 and side.calls == {}


async def test_a58_a_distrusted_owner_is_asked_and_not_believed(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        await worker.woken(actor)
        here = await side.waker.find(actor, deadline=soon(), distrust=True)
        assert here.epoch == 1 and side.counted("wake w1") == 1


# Each caller's own time ---------------------------------------------------------------------


async def test_a22_one_that_gives_up_changes_nothing_for_the_others(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            patient = group.create_task(side.waker.find(actor, deadline=soon()))
            gone = group.create_task(side.waker.find(actor, deadline=soon()))
            await seen(side, "wake")
            with pytest.raises(WakeTimedOut):
                await side.waker.wake(actor, wait_s=0.02)
            gone.cancel()
            worker.driver.go.set()
        assert isinstance(patient.result(), Here)
        assert worker.driver.counted("start") == 1


async def test_r28_a_late_joiner_outlives_the_search_it_joined_when_all_were_full(
    world: World,
) -> None:
    await world.apply(template(wake={"timeout": "1s"}))
    actor = await world.create("c1")
    async with world.worker("w1") as worker, gateway_side(world, worker) as side:
        side.cut.add("w1")
        async with asyncio.TaskGroup() as group:
            first = group.create_task(caught(side, actor))
            await asyncio.sleep(0.6)  # the lateness itself
            late = group.create_task(side.waker.find(actor, deadline=soon()))
            assert isinstance(await first, NoCapacity)
            side.cut.clear()
        assert late.result().worker == "w1"


async def test_a27_a_late_joiner_outlives_the_wake_call_it_joined(world: World) -> None:
    await world.apply(template(wake={"timeout": "1s"}))
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(caught(side, actor))
            await asyncio.sleep(0.6)  # the lateness itself
            late = group.create_task(side.waker.find(actor, deadline=soon()))
            assert isinstance(await first, WakeTimedOut)
            worker.driver.go.set()
        assert late.result().epoch == 1 and worker.driver.counted("start") == 1


async def test_a27_a_late_joiners_time_ends_too(world: World) -> None:
    await world.apply(template(wake={"timeout": "1s"}))
    actor = await world.create("c1")
    async with gateway_side(world) as side:
        async with asyncio.TaskGroup() as group:
            group.create_task(caught(side, actor))
            await asyncio.sleep(0.6)  # the lateness itself
            began = time.monotonic()
            assert isinstance(await caught(side, actor), NoCapacity)
        assert 0.9 < time.monotonic() - began < 1.6
        assert repr(side.waker) == "<Waker 0 searches, 0 callers>"


async def caught(side: GatewaySide, actor: ActorId) -> Exception | Here:
    try:
        return await side.waker.find(actor, deadline=soon())
    except (NoCapacity, WakeTimedOut, NoSuchActor, ShuttingDown) as error:
        return error


# The end of a search ------------------------------------------------------------------------


async def test_a_search_that_nobody_waits_for_and_that_began_nothing_ends(world: World) -> None:
    actor = await world.create("c1")
    async with gateway_side(world) as side:
        with pytest.raises(WakeTimedOut):
            await side.waker.wake(actor, wait_s=0.05)
        assert repr(side.waker) == "<Waker 0 searches, 0 callers>"


async def test_a_caller_that_comes_as_a_search_ends_begins_its_own(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        side.cut.add("w1")
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(side.waker.find(actor, deadline=soon()))
            await seen(side, "wake")
            leaving.cancel()
            while side.waker._searches:  # in the very turn of the loop in which it is dropped
                await asyncio.sleep(0)
            side.cut.clear()
            coming = group.create_task(side.waker.find(actor, deadline=soon()))
        assert coming.result().epoch == 1


async def test_a_wake_once_begun_is_finished_though_all_callers_left(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(side.waker.find(actor, deadline=soon()))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            gone.cancel()
        assert repr(side.waker) == "<Waker 1 searches, 0 callers>"
        worker.driver.go.set()
        here = await side.waker.find(actor, deadline=soon())
        assert here.epoch == 1 and worker.driver.counted("start") == 1


async def test_who_waits_when_the_process_stops_is_told_so(world: World) -> None:
    actor = await world.create("c1")
    async with asyncio.TaskGroup() as group:
        async with gateway_side(world) as side:
            waiting = group.create_task(caught(side, actor))
            while not side.waker._searches:
                await asyncio.sleep(0)
    assert isinstance(waiting.result(), ShuttingDown)


async def test_a_table_that_is_away_is_said_to_be(world: World) -> None:
    nowhere = connect(f"unix://{world.directory}/nowhere.sock")
    waker = Waker(
        Table(nowhere),
        KnownTemplates(world.catalog, clock=boot_time),
        Roster(world.leases),
        lambda record: pytest.fail("no worker is asked"),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(waker.run())
        await asyncio.sleep(0)
        with pytest.raises(DependencyAway, match="table"):
            await waker.wake(ActorId("demo", "c1"), wait_s=20)
        running.cancel()
    await nowhere.aclose()


# Creating and deleting ----------------------------------------------------------------------


async def test_an_unknown_name_becomes_an_actor_where_a_template_says_so(world: World) -> None:
    actor = ActorId.of("demo", "fresh")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        found = await asyncio.gather(*(side.waker.find(actor, deadline=soon()) for _ in range(20)))
        record = await world.table.read(actor)
        assert record is not None and record.template == "counter"
        assert {here.uid for here in found} == {record.uid}


async def test_a72_an_unknown_name_elsewhere_is_no_actor_and_makes_none(world: World) -> None:
    await world.apply(template(create={"onRequest": False}))
    async with world.worker() as worker, gateway_side(world, worker) as side:
        for actor in (ActorId.of("demo", "nobody"), ActorId.of("elsewhere", "nobody")):
            with pytest.raises(NoSuchActor, match="no template"):
                await side.waker.find(actor, deadline=soon())
            assert await world.table.read(actor) is None
        assert side.calls == {}


async def test_what_is_deleted_while_it_is_looked_for_is_not_created_again(world: World) -> None:
    actor = await world.create("c1")
    record = await world.table.read(actor)
    assert record is not None
    async with world.worker() as worker, gateway_side(world, worker) as side:
        side.cut.add("w1")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(caught(side, actor))
            await seen(side, "wake")
            assert (await world.table.delete(actor, record.uid)).is_done
        error = waiting.result()
        assert isinstance(error, NoSuchActor) and "deleted" in str(error)
        assert await world.table.read(actor) is None


async def test_a_program_that_cannot_start_is_told_at_once(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        worker.driver.broken = True
        with pytest.raises(StartFailed, match="no such program"):
            await side.waker.find(actor, deadline=soon())
        assert side.counted("wake") == 1


# Workers that go and come -------------------------------------------------------------------


async def test_a_dead_owner_is_waited_out_and_its_actor_woken_elsewhere(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            await one.woken(actor)
        killed = time.monotonic()  # nothing was given back: w1's lease lives on
        async with gateway_side(world, one, two) as side:
            side.cut.add("w1")
            here = await side.waker.find(actor, deadline=soon(), distrust=True)
            assert (here.worker, here.epoch) == ("w2", 2)
            # P3: claimable again within two lease times.
            assert time.monotonic() - killed < 2 * TTL_S + 1
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.RUNNING


async def test_a_parked_search_takes_the_first_slot_that_gets_free(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker(slots=1) as worker, gateway_side(world, worker) as side:
        await worker.woken(first)  # never sleeps by its template, so nothing can be evicted
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(side.waker.find(second, deadline=soon()))
            await seen(side, "wake")
            await worker.host.suspend(SuspendAsk(actor=first))
        assert waiting.result().worker == "w1"


async def test_a62_a_wake_takes_no_longer_where_a_worker_it_knows_of_is_gone(world: World) -> None:
    """Its lease lives and the list has it, nothing answers at its address: no time is spent on it
    but the try, whichever of them is asked first."""
    took = []
    async with (
        world.worker("w1") as one,
        world.worker("w2") as two,
        gateway_side(world, one, two) as side,
    ):
        side.cut.add("w1")
        for n in range(10):
            began = time.monotonic()
            here = await side.waker.find(await world.create(f"c{n}"), deadline=soon())
            took.append(time.monotonic() - began)
            assert here.worker == "w2"
        assert side.calls["wake w1"] > 0
    assert max(took) < 2.0, took


async def test_a41_a_herd_of_one_namespace_does_not_starve_another_that_waits_for_a_slot(
    world: World,
) -> None:
    """One slot, 40 wakes of one tenant that wait for it, then one of another: it is not served
    after all of them; everybody is served, and no slot is lost."""
    idle = {"freezeAfter": "never", "suspendAfter": "1h"}
    await world.apply(template(idle=idle))
    await world.apply({**template(idle=idle), "metadata": {"namespace": "s", "name": "counter"}})
    herd = [await world.create(f"h{n}") for n in range(40)]
    small = ActorId("s", "c1")
    assert (await world.table.create(small, template="counter")).is_done
    order: list[ActorId] = []
    async with world.worker(slots=1) as worker, gateway_side(world, worker) as side:

        async def served(actor: ActorId) -> None:
            await side.waker.find(actor, deadline=soon(25))
            order.append(actor)
            # Idle at once, so that the next one's search may have its slot.
            residence = worker.host.residents.get(actor)
            if residence is not None:
                residence.gate.last_active -= 60

        held = await world.create("held")
        await worker.woken(held)
        ticket = worker.door.admit(held)
        assert ticket is not None
        async with asyncio.TaskGroup() as group:
            for actor in herd:
                group.create_task(served(actor))
            while side.waker._turns.waiting < 30:
                await asyncio.sleep(0.005)
            group.create_task(served(small))
            while len(side.waker._searches) < 41:
                await asyncio.sleep(0.005)
            ticket.close()
            worker.host.residents[held].gate.last_active -= 60
        assert set(order) == {*herd, small}
        # In order of coming it would be the last of all. Its turn comes soon; whether there is room
        # in that moment is chance.
        assert order.index(small) < 32, order.index(small)
        assert side.waker._turns.waiting == 0
    assert len(worker.driver.running) <= 1
