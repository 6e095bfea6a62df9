"""Records of owners that are no more: given back when it is certain, and never sooner."""

import pytest
from redis.asyncio import Redis

from lifecycle.orphans import Sweep, release
from placement import keys
from placement.model import ActorId, ActorRecord, ActorState, Claimant
from placement.table import Table
from tests.fake_worker import FakeFleet

C1 = ActorId("demo", "c1")


@pytest.fixture
async def fleet(redis: Redis, table: Table) -> FakeFleet:
    fleet = FakeFleet(redis=redis, table=table)
    await fleet.add("w1")
    return fleet


async def owned(fleet: FakeFleet) -> ActorRecord:
    await fleet.actor("c1")
    record, _ = await fleet.actions.wake(C1, wait_s=5)
    return record


def sweep(fleet: FakeFleet) -> Sweep:
    return Sweep(fleet.table, fleet.leases, lambda record: fleet.workers[record.worker])


async def state(fleet: FakeFleet) -> ActorState:
    return (await fleet.actions.record(C1)).state


async def test_what_a_living_worker_runs_is_left_alone(fleet: FakeFleet) -> None:
    record = await owned(fleet)
    assert not await release(fleet.table, fleet.leases, record)
    assert await sweep(fleet).run([record]) == 0
    assert await state(fleet) is ActorState.RUNNING


async def test_r12_a_worker_that_was_heard_of_an_hour_ago_may_still_come_back(
    fleet: FakeFleet, redis: Redis
) -> None:
    record = await owned(fleet)
    # Its lease ran out; its record is still there, and so may be files newer than any snapshot.
    await redis.delete(keys.lease_key("w1"))
    assert await sweep(fleet).run([record]) == 0
    await redis.delete(keys.worker_key("w1"))
    assert await sweep(fleet).run([record]) == 1
    assert await state(fleet) is ActorState.SUSPENDED


async def test_what_a_worker_that_is_back_has_not_is_given_back_and_what_it_has_is_not(
    fleet: FakeFleet,
) -> None:
    record = await owned(fleet)
    await fleet.come_back("w1")
    # It still has it, and owns it anew in its own time.
    assert await sweep(fleet).run([record]) == 0
    fleet.workers["w1"].fences.clear()
    assert await sweep(fleet).run([record]) == 1
    assert await state(fleet) is ActorState.SUSPENDED


async def test_a_worker_that_does_not_answer_keeps_what_it_may_have(fleet: FakeFleet) -> None:
    record = await owned(fleet)
    await fleet.come_back("w1")
    fleet.workers["w1"].is_away = True
    assert await sweep(fleet).run([record]) == 0
    assert await state(fleet) is ActorState.RUNNING


async def test_one_that_another_worker_took_meanwhile_stays_its(fleet: FakeFleet) -> None:
    seen = await owned(fleet)
    await fleet.lose("w1")
    other = await fleet.add("w2")
    claimant = Claimant(worker="w2", incarnation=other.record.incarnation, door=other.record.door)
    taken = await fleet.table.take_over(seen, claimant, budget_ms=60_000)
    assert taken.is_done
    assert not await release(fleet.table, fleet.leases, seen)
    record = await fleet.actions.record(C1)
    assert (record.worker, record.state) == ("w2", ActorState.WAKING)
