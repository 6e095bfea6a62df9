"""One actor's task from claim to end: what it does unasked, and what it leaves whatever happens.

The rules are test_reaper's, the way down is test_sleeping's.
"""

import asyncio

import pytest

from lifecycle.errors import ActorBusy, Fenced, NoSuchActor
from lifecycle.host.life import live
from lifecycle.host.reaper import Cause, Order
from lifecycle.host.residence import Phase, Residence
from lifecycle.messages import SuspendAsk
from placement.model import ActorId, ActorState
from tests.lifecycle.host.fakes import World, soon, template

SHORT = {"freezeAfter": "20ms", "suspendAfter": "150ms"}


async def test_a2_an_idle_actor_freezes_then_sleeps_and_leaves_nothing(world: World) -> None:
    await world.apply(template(idle=SHORT))
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        residence = worker.host.residents[actor]
        await residence.ended.wait()
        words = [each.split()[0] for each in worker.driver.done]
        assert words == ["start", "freeze", "stop"]
        assert worker.driver.running == set() and worker.host.free == 10
        assert worker.dropped != []  # the door's pooled connections to it
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot
        assert record.uid == here.uid and record.active_ms > 0
        assert worker.places.copies() == []


async def test_an_open_request_keeps_it_awake_for_as_long_as_it_lasts(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "1ms", "suspendAfter": "1ms"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        await asyncio.sleep(0.2)  # two hundred times its idle time
        assert ticket.is_valid() and worker.host.residents[actor].phase is Phase.RUNNING
        residence = worker.host.residents[actor]
        ticket.close()
        await residence.ended.wait()


async def test_p5_a_program_that_computes_is_not_idle(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "30ms", "suspendAfter": "never"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        async with asyncio.TaskGroup() as group:
            burning = group.create_task(burn(worker.driver))
            touched = residence.gate.last_active
            while residence.gate.last_active == touched:
                await asyncio.sleep(0.01)
            assert worker.driver.counted("freeze") == 0
            burning.cancel()
        while residence.phase is not Phase.FROZEN:
            await asyncio.sleep(0.01)


async def burn(driver: object) -> None:
    while True:
        await asyncio.sleep(0.005)
        driver.cpu_s += 0.005  # type: ignore[attr-defined]


async def test_an_order_is_refused_while_another_is_followed(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await world.store.arrived.wait()
            with pytest.raises(ActorBusy, match="already being suspended"):
                await worker.host.suspend(SuspendAsk(actor=actor))
            world.store.go.set()
        assert asked.done()
        with pytest.raises(NoSuchActor):
            await worker.host.suspend(SuspendAsk(actor=actor))


async def test_an_order_refused_as_busy_lets_the_next_request_in(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        with pytest.raises(ActorBusy, match="1 open requests"):
            await worker.host.suspend(SuspendAsk(actor=actor, wait_ms=20))
        second = worker.door.admit(actor)
        assert second is not None and second.is_valid() and ticket.is_valid()
        second.close()
        ticket.close()


async def test_force_cuts_what_is_open_and_saves_the_actor(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        ticket.on_cut(ticket.close)  # as the relay does
        await worker.host.suspend(SuspendAsk(actor=actor, force=True))
        assert not ticket.is_valid()
        record = await world.table.read(actor)
        assert record is not None and record.snapshot is not None


async def test_a_task_that_breaks_leaves_no_process_and_nobody_waiting(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: Residence) -> bool:
        raise RuntimeError("a mistake of ours")

    async with world.worker() as worker:
        residence = Residence(ActorId("demo", "c1"), worker.host.kit, worker.host)
        worker.host.residents[residence.actor] = residence
        done = residence.obey(Order(cause=Cause.DRAIN, until=0))
        await live(residence, broken)
        assert residence.phase is Phase.GONE and residence.ended.is_set()
        assert await residence.awake is None and worker.host.residents == {}
        with pytest.raises(Fenced):
            await done
        with pytest.raises(NoSuchActor):
            await residence.obey(Order(cause=Cause.DRAIN, until=0))
        assert [r.message for r in caplog.records if r.exc_info] == ["residence broke"]


async def test_a_worker_stopped_without_a_drain_keeps_the_files_for_its_next_start(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("5")
    assert worker.driver.running == set()
    ((copy, note),) = worker.places.copies()
    assert note.actor == actor
    assert (copy.directories(note.durable)["/data"] / "n").read_text() == "5"


async def test_a_lost_lease_cuts_freezes_and_waits(world: World) -> None:
    """P1: from the end of the lease nothing is served, and nothing runs beside a successor."""
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        ticket = worker.door.admit(actor)
        assert ticket is not None
        cut = asyncio.Event()
        ticket.on_cut(cut.set)
        await world.leases.retire("w1", worker.host.claimant().incarnation)
        await cut.wait()
        assert not ticket.is_valid() and not residence.gate.is_open
        ticket.close()
        while residence.phase is not Phase.FROZEN:
            await asyncio.sleep(0.01)
        assert worker.driver.done[-1].startswith("freeze")
        assert worker.meters.fenced == 1
        assert residence.record.incarnation == worker.host.claimant().incarnation
