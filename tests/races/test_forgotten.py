"""A failover to a replica that lacks the last writes, and a server that lost everything: P1, P2.

Real servers, real workers; what is forgotten is a claim, a `ready`, a suspend, the whole actor.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lifecycle.messages import Here, SuspendAsk
from placement.connect import connect
from placement.errors import PlacementError
from placement.listing import Listing
from placement.model import ActorId, ActorRecord, ActorState
from placement.table import Table
from tests.lifecycle.host.fakes import TEMPLATE, TTL_S, TestWorker, World, soon
from tests.races.failover import Failover, failover
from tests.races.test_leases import served


@pytest.fixture
async def pair() -> AsyncIterator[Failover]:
    with tempfile.TemporaryDirectory(prefix="rouse-fo-") as directory:
        async with failover(Path(directory)) as made:
            yield made


@pytest.fixture
async def world(pair: Failover, tmp_path: Path) -> AsyncIterator[World]:
    client = connect(pair.url)
    assert isinstance(client, Redis)
    made = World(client, Table(client), tmp_path)
    await made.apply(TEMPLATE)
    yield made
    await made.vault.close()
    await client.aclose()


async def until(look: Callable[[], object]) -> None:
    deadline = soon()
    while not look():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def record_of(world: World, actor: ActorId) -> ActorRecord | None:
    deadline = soon()
    while True:
        try:
            return await world.table.read(actor)
        except PlacementError:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)


async def awake(worker: TestWorker, actor: ActorId) -> Here | None:
    """None when another worker has it."""
    deadline = soon()
    while not isinstance(answer := await worker.wake(actor), Here):
        if type(answer).__name__ == "There":
            return None
        assert asyncio.get_running_loop().time() < deadline, answer
        await asyncio.sleep(0.02)
    return answer


def serving(*workers: TestWorker) -> Callable[[ActorId], int]:
    return lambda actor: sum(
        1
        for worker in workers
        if (r := worker.host.residents.get(actor)) is not None and r.gate.is_open and r.may_serve()
    )


class Watch:
    """Looks at each turn of the loop how many copies may serve."""

    def __init__(self, actor: ActorId, *workers: TestWorker) -> None:
        self._count, self._actor, self.most = serving(*workers), actor, 0

    async def run(self) -> None:
        while True:
            self.most = max(self.most, self._count(self._actor))
            await asyncio.sleep(0)


async def test_p1_a_claim_that_a_failover_forgot_is_owned_anew_and_nobody_serves_beside_it(
    pair: Failover, world: World
) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await pair.forget_from_here()
        first = await one.woken(actor)
        ticket = await one.door.admit_waiting(actor, deadline=soon())
        (one.data(actor) / "n").write_text("7")
        watch = Watch(actor, one, two)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run())
            await pair.fail_over()
            # By the record nobody has it: who claims waits for every worker to look.
            assert await awake(two, actor) is None
            record = await record_of(world, actor)
            assert record is not None and record.worker == "w1" and record.epoch > first.epoch
            await until(lambda: serving(one)(actor))
            watching.cancel()
        assert watch.most == 1
        assert ticket.is_valid()  # P4: its requests were never cut
        ticket.close()
        assert one.meters.forgotten["owned"] == 1 and not two.driver.running
        await one.host.suspend(SuspendAsk(actor=actor))
        await awake(two, actor)
        assert (two.data(actor) / "n").read_text() == "7"


async def test_p2_a_suspend_that_a_failover_forgot_is_committed_anew(
    pair: Failover, world: World
) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        await pair.forget_from_here()
        (one.data(actor) / "n").write_text("7")
        await one.host.suspend(SuspendAsk(actor=actor))
        await pair.fail_over()
        # The record says that w1 runs it still.
        for worker in (two, one):
            if await awake(worker, actor) is not None:
                assert (worker.data(actor) / "n").read_text() == "7"
                break
        assert one.meters.forgotten["committed"] == 1


async def test_p2_a_whole_wake_and_its_suspend_forgotten_cost_nothing(
    pair: Failover, world: World
) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await pair.forget_from_here()
        await one.woken(actor)
        (one.data(actor) / "n").write_text("7")
        await one.host.suspend(SuspendAsk(actor=actor))
        await pair.fail_over()
        # By the record it never ran: a claim by it waits, and finds that it did.
        assert await awake(two, actor) is not None
        assert (two.data(actor) / "n").read_text() == "7"
        assert one.meters.forgotten["committed"] == 1


async def test_a_suspend_in_mid_upload_over_a_failover_loses_nothing(
    pair: Failover, world: World
) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await pair.forget_from_here()
        await one.woken(actor)
        (one.data(actor) / "n").write_text("7")
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(one.host.suspend(SuspendAsk(actor=actor)))
            await world.store.arrived.wait()
            await pair.fail_over()
            world.store.go.set()
            await asked
        await awake(two, actor)
        assert (two.data(actor) / "n").read_text() == "7"


async def test_an_actor_made_after_the_replica_stopped_is_back_with_its_copy(
    pair: Failover, world: World
) -> None:
    async with world.worker("w1") as one, world.worker("w2") as two:
        await pair.forget_from_here()
        actor = await world.create("c1")
        await one.woken(actor)
        (one.data(actor) / "n").write_text("7")
        await pair.fail_over()
        await until(lambda: one.meters.forgotten["owned"])
        assert await awake(two, actor) is None
        assert (one.data(actor) / "n").read_text() == "7"


async def test_p1_where_two_truths_met_the_table_names_one_and_the_other_ends(
    pair: Failover, world: World
) -> None:
    """The worker with the forgotten copy stood still for longer than its lease meanwhile."""
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await pair.forget_from_here()
        await one.woken(actor)
        lease = one.host._lease
        assert lease is not None
        lease.tenure.expires_at = 0.0  # by its clock it neither renewed nor looked for a while
        await pair.fail_over()
        # Whichever of them the table names: the other one's copy ends.
        if await awake(two, actor) is None:
            await served(one, actor)
        await until(lambda: serving(one, two)(actor) == 1)
        await until(lambda: len(one.driver.running | two.driver.running) == 1)
        record = await record_of(world, actor)
        assert record is not None and record.state is ActorState.RUNNING


async def test_flushall_costs_no_running_actor(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one:
        await one.woken(actor)
        (one.data(actor) / "n").write_text("7")
        slug = next(iter(one.driver.running))
        await world.redis.flushall()
        await until(lambda: one.meters.forgotten["owned"])
        await world.apply(TEMPLATE)
        await served(one, actor)
        assert one.driver.running == {slug}
        record = await record_of(world, actor)
        assert record is not None and record.state is ActorState.RUNNING
        await one.host.suspend(SuspendAsk(actor=actor))
        await one.woken(actor)
        assert (one.data(actor) / "n").read_text() == "7"


async def test_a_claim_under_a_new_history_waits_no_longer_than_a_lease(
    pair: Failover, world: World
) -> None:
    """A worker that died with the primary looks at nothing any more."""
    actor, other = await world.create("c1"), await world.create("c2")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            await one.woken(actor)
            await pair.forget_from_here()
        await pair.fail_over()
        began = asyncio.get_running_loop().time()
        assert await awake(two, other) is not None
        assert asyncio.get_running_loop().time() - began < 4 * TTL_S
        assert await awake(two, actor) is not None


async def test_r22_a_listing_goes_on_through_a_failover(pair: Failover, world: World) -> None:
    """What was there before is told once, on whichever server its page was read."""
    actors = [await world.create(f"c{n:03}") for n in range(30)]
    listing = Listing(world.redis)
    page, cursor = await listing.list("demo", limit=10)
    seen = [record.actor for record in page]
    await pair.forget_from_here()
    await world.create("d-forgotten")
    await pair.fail_over()
    deadline = soon()
    while cursor is not None:
        try:
            page, cursor = await listing.list("demo", cursor=cursor, limit=10)
        except PlacementError:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        else:
            seen += [record.actor for record in page]
    assert seen == actors
