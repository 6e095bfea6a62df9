"""What is known of one actor here, and the single acts: orders, freeze, thaw, fenced writes."""

import asyncio
import time

import pytest

from lifecycle.errors import ActorBusy
from lifecycle.host.reaper import Cause, Order
from lifecycle.host.residence import LeaseLost, Phase, Residence, Superseded
from placement.errors import TableUnavailable
from placement.model import ActorId, Answer, Fence
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon

ACTOR = ActorId("demo", "c1")


def unclaimed(world: World) -> Residence:
    worker = TestWorker(world, "w9", 10, FakeDriver())
    return Residence(ACTOR, worker.host.kit, worker.host)


async def test_before_its_claim_it_serves_nobody_and_says_so(world: World) -> None:
    residence = unclaimed(world)
    assert not residence.claimed and not residence.may_serve()
    assert repr(residence).startswith("<Residence demo/c1 epoch - waking <Gate of demo/c1: shut")
    told = await residence.describe()
    assert (told.state, told.epoch, told.pid, told.memory_bytes) == ("waking", 0, None, 0)


async def test_an_order_shuts_the_gate_unless_a_request_may_take_it_back(world: World) -> None:
    for cause, stays_open in ((Cause.EVICT, True), (Cause.ASKED, False), (Cause.DRAIN, False)):
        residence = unclaimed(world)
        residence.phase = Phase.RUNNING
        residence.gate.open()
        done = residence.obey(Order(cause=cause, until=0))
        assert residence.gate.is_open == stays_open and residence.stirred.is_set()
        with pytest.raises(ActorBusy):
            await residence.obey(Order(cause=Cause.DRAIN, until=0))
        residence.settle_order()
        await done
        assert residence.order is None


async def test_a_refused_order_tells_why_and_makes_way_for_the_next(world: World) -> None:
    residence = unclaimed(world)
    done = residence.obey(Order(cause=Cause.ASKED, until=0))
    residence.settle_order(ActorBusy("2 open requests", actor=ACTOR))
    with pytest.raises(ActorBusy, match="2 open requests"):
        await done
    again = residence.obey(Order(cause=Cause.ASKED, until=0))
    again.cancel()  # who asked has gone
    residence.settle_order()
    residence.settle_order()  # with no order there is nothing to settle


async def test_connections_are_dropped_before_the_freeze(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        ticket = worker.door.admit(actor)
        assert ticket is not None
        key = ticket.pool_key
        ticket.close()
        residence.gate.shut()
        before = len(worker.driver.done)
        await residence.freeze()
        assert worker.dropped == [key]
        await residence.freeze()  # frozen once
        assert len(worker.driver.done) == before + 1
        await residence.serve_again()
        assert worker.driver.done[-1].startswith("thaw") and residence.may_serve()
        await residence.serve_again()
        assert worker.driver.counted("thaw") == 1


async def test_ending_a_frozen_sandbox_never_thaws_it(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        residence.gate.shut()
        await residence.freeze()
        await residence.end_sandbox()
        await residence.end_sandbox()  # once is enough
        assert worker.driver.counted("thaw") == 0 and worker.driver.counted("stop") == 1


async def test_a_write_is_repeated_as_the_same_call_until_it_is_known(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        calls: list[str] = []

        async def lost_twice(fence: Fence, call: str) -> Answer:
            calls.append(call)
            answer = await world.table.begin_suspend(fence, call=call)
            if len(calls) < 3:
                raise TableUnavailable(actor, call)  # carried out, and the answer lost
            return answer

        record = (await residence.write(lost_twice)).record
        assert len(calls) == 3 and len(set(calls)) == 1
        assert record is not None and record.state == "SUSPENDING"
        assert residence.record is record
        await residence.write(lambda fence, call: world.table.abort_suspend(fence, call=call))


async def test_p1_a_refused_write_says_that_another_owns_it(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        residence = one.host.residents[actor]
        seen = await world.table.read(actor)
        assert seen is not None
        taken = await world.table.take_over(seen, two.host.claimant(), budget_ms=60_000)
        assert taken.is_done
        before = residence.record
        with pytest.raises(Superseded):
            await residence.write(lambda fence, call: world.table.begin_suspend(fence, call=call))
        assert residence.record is before


async def test_a_write_without_an_answer_ends_with_the_lease(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        tries: list[str] = []

        async def away(_: Fence, call: str) -> Answer:
            tries.append(call)
            if len(tries) == 2:
                worker.host._lease = None
            raise TableUnavailable(actor, call)

        lease = worker.host._lease
        with pytest.raises(LeaseLost):
            await residence.write(away)
        assert len(tries) == 2
        worker.host._lease = lease


async def test_its_last_activity_is_told_by_the_wall_clock(world: World) -> None:
    residence = unclaimed(world)
    residence.gate.last_active = asyncio.get_running_loop().time() - 30
    assert abs(residence.active_ms() / 1000 - (time.time() - 30)) < 2


async def test_here_names_the_present_epoch_and_door(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        here = worker.host.residents[actor].here(began=True)
        assert (here.worker, here.door, here.epoch, here.began) == ("w1", "unix:/w1/door", 1, True)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        ticket.close()
