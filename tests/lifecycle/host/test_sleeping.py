"""Suspends of one worker on the real table, store and vault: P2, P4, R5, R6 and their races."""

import asyncio

import pytest

from lifecycle.errors import ActorBusy, DependencyAway
from lifecycle.messages import SuspendAsk
from lifecycle.snapshots.base import StoreUnavailable
from placement.model import ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TTL_S, World, soon, template


async def test_p2_what_was_there_at_the_suspend_is_there_at_the_wake(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        await worker.host.suspend(SuspendAsk(actor=actor))
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot
        assert worker.driver.running == set() and worker.host.free == 10
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "1"


async def test_the_snapshot_wakes_at_another_worker(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        (one.data(actor) / "n").write_text("1")
        await one.host.suspend(SuspendAsk(actor=actor))
        await two.woken(actor)
        assert (two.data(actor) / "n").read_text() == "1"


async def test_a2_an_idle_actor_is_suspended_and_its_connections_go_first(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "20ms", "suspendAfter": "60ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        while worker.host.residents:
            await asyncio.sleep(0.01)
        assert worker.dropped and worker.driver.running == set()
        assert worker.meters.suspends["committed", "idle"] == 1


async def test_p4_no_suspend_while_a_ticket_is_out(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "10ms", "suspendAfter": "20ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        await asyncio.sleep(0.2)  # ten times its idle time
        assert ticket.is_valid() and worker.meters.suspends.total() == 0
        ticket.close()
        while worker.host.residents:
            await asyncio.sleep(0.01)


async def test_p4_a_request_before_the_commit_takes_an_idle_suspend_back(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "10ms", "suspendAfter": "20ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        world.store.arrived.clear()
        world.store.go.clear()
        await world.store.arrived.wait()  # the snapshot is being written
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert ticket.is_valid() and worker.driver.running == {slug}
        assert ticket.wake is not None and ticket.wake.kind == "thaw"
        world.store.go.set()
        ticket.close()
        while worker.host.residents:  # and idle again it goes after all
            await asyncio.sleep(0.01)
        assert worker.meters.suspends["aborted", "idle"] == 1


async def test_a_request_during_an_asked_suspend_waits_and_wakes_it_again(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        world.store.arrived.clear()
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await world.store.arrived.wait()
            request = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            while not worker.host.residents[actor].gate.waiting:
                await asyncio.sleep(0.005)
            world.store.go.set()
        asked.result()
        ticket = request.result()
        assert ticket.is_valid() and ticket.wake is not None and ticket.wake.kind == "cold"
        ticket.close()
        record = await world.table.read(actor)
        assert record is not None and record.epoch == 2


async def test_an_asked_suspend_says_busy_and_leaves_it_serving(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        with pytest.raises(ActorBusy, match="1 open request"):
            await worker.host.suspend(SuspendAsk(actor=actor, wait_ms=30))
        assert ticket.is_valid()
        other = await worker.door.admit_waiting(actor, deadline=soon())
        other.close()
        ticket.close()


async def test_a_forced_suspend_cuts_what_is_open(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        ticket.on_cut(ticket.close)
        await worker.host.suspend(SuspendAsk(actor=actor, force=True))
        assert worker.host.residents == {} or worker.host.free == 10


async def test_r5_r6_a_store_that_is_away_loses_nothing(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "10ms", "suspendAfter": "20ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        (worker.data(actor) / "n").write_text("7")
        world.store.error = StoreUnavailable("no space left")
        while not worker.meters.suspends["failed", "idle"]:
            await asyncio.sleep(0.01)
        # It stays, and serves whoever comes.
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert worker.driver.running == {slug}
        ticket.close()
        with pytest.raises(DependencyAway):
            await worker.host.suspend(SuspendAsk(actor=actor))
        # It goes by itself when the store is back.
        world.store.error = None
        while worker.host.residents:
            await asyncio.sleep(0.01)
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_an_actor_that_ends_by_itself_keeps_its_files_and_says_how(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        (worker.data(actor) / "n").write_text("5")
        residence = worker.host.residents[actor]
        residence.ready_at -= 3600  # it has run for an hour
        worker.driver.exits(slug, Exit(code=1))
        await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED
        assert record.reason == "exited with status 1" and record.failures == 0
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "5"


async def test_three_quick_ends_make_it_failed_but_keep_its_files(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        for turn in range(3):
            await worker.woken(actor)
            (worker.data(actor) / f"n{turn}").write_text("x")
            residence = worker.host.residents[actor]
            worker.driver.exits(
                residence.record.uid and next(iter(worker.driver.running)), Exit(code=1)
            )
            await residence.ended.wait()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.FAILED
        assert record.failures == 3 and record.snapshot is not None
        assert record.reason == "exited with status 1"


async def test_a_drain_saves_every_actor_and_takes_no_new_one(world: World) -> None:
    actors = [await world.create(f"c{n}") for n in range(5)]
    async with world.worker() as worker:
        for actor in actors:
            await worker.woken(actor)
        ticket = worker.door.admit(actors[0])
        assert ticket is not None
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(worker.host.drain())
            while len(worker.host.residents) > 1:
                await asyncio.sleep(0.01)
            assert not draining.done() and ticket.is_valid()
            ticket.close()
        assert worker.host.residents == {}
        for actor in actors:
            record = await world.table.read(actor)
            assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot


async def test_delete_discards_without_a_snapshot(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        await worker.host.suspend(SuspendAsk(actor=actor, force=True, discard=True))
        record = await world.table.read(actor)
        assert record is not None and record.snapshot is None


async def test_p4_five_hundred_rounds_of_a_suspend_against_a_request(world: World) -> None:
    """Each round a request comes at another moment of an idle suspend; every one is served, and
    each copy begins with what the one before it wrote."""
    await world.apply(template(idle={"freezeAfter": "1ms", "suspendAfter": "1ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        for turn in range(500):
            await asyncio.sleep((turn % 25) * 0.0008)
            while True:
                await worker.woken(actor)
                try:
                    ticket = await worker.door.admit_waiting(actor, deadline=soon())
                except LookupError:
                    continue
                break
            assert ticket.is_valid()
            counter = worker.data(actor) / "n"
            assert (counter.read_text() if counter.exists() else "0") == str(turn)
            counter.write_text(str(turn + 1))
            ticket.close()
        suspends = worker.meters.suspends
        assert suspends["committed", "idle"] > 0 and suspends["aborted", "idle"] > 0


async def test_r11_a_suspend_that_outlasts_its_lease_many_times_is_committed(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("1")
        world.store.arrived.clear()
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await world.store.arrived.wait()
            await asyncio.sleep(2.5 * TTL_S)  # the very thing: time, which the lease is about
            world.store.go.set()
        asked.result()
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot
        assert record.epoch == 1 and worker.meters.fenced == 0
