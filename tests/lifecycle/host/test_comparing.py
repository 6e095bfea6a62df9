"""What a worker's look at the table finds, and when it says that it has looked."""

import asyncio
from dataclasses import replace

from lifecycle.host.comparing import Comparing
from placement import keys
from placement.leases import boot_time
from placement.model import ActorId
from tests.lifecycle.host.fakes import TestWorker, World


def comparing(worker: TestWorker) -> Comparing:
    return worker.host._comparing


async def test_a_worker_says_under_which_history_it_has_looked(world: World) -> None:
    async with world.worker() as worker:
        while not worker.host.describe().histories:
            await asyncio.sleep(0.01)
        assert worker.host.describe().histories == await world.leases.histories.now()


async def test_it_says_so_only_when_nothing_that_it_runs_is_in_doubt(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        look = comparing(worker)
        look.looked = ()
        residence = worker.host.residents[actor]
        residence.doubted_until = boot_time() + 60
        await look.compare(boot_time())
        assert look.looked == ()
        residence.doubted_until = None
        await look.compare(boot_time())
        assert look.looked != ()


async def test_a_forgotten_copy_serves_no_longer_than_the_look_before_allows(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        await world.redis.delete(keys.actor_key(actor))
        residence = worker.host.residents[actor]
        assert residence.may_serve()
        await comparing(worker).compare(boot_time())
        assert residence.doubted_until is not None and not residence.may_serve()


async def test_a_lease_that_is_not_there_tells_that_writes_are_lost(world: World) -> None:
    async with world.worker() as worker:
        while not worker.host.describe().histories:
            await asyncio.sleep(0.01)
        assert not await worker.host.has_lost_writes()
        await world.redis.delete(keys.lease_key("w1"))
        assert await worker.host.has_lost_writes()


async def test_what_fell_asleep_is_remembered_for_a_moment_only(world: World) -> None:
    actor = await world.create("c1")
    record = await world.table.read(actor)
    assert record is not None
    async with world.worker() as worker:
        look = comparing(worker)
        look.fell_asleep(record)
        assert look.asleep(actor) == record
        assert look.asleep(ActorId.of("demo", "c2")) is None
        look._asleep[actor] = (boot_time() - 3600, record)
        other = ActorId.of("demo", "c3")
        look._asleep[other] = (boot_time(), record)
        look._asleep.move_to_end(actor, last=False)
        look.fell_asleep(replace(record, actor=other))
        assert look.asleep(actor) is None
