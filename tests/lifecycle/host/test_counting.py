"""What a worker tells of its actors. What a wake makes of it is tests/lifecycle/test_quota.py's."""

import asyncio

from lifecycle.messages import There
from tests.lifecycle.host.fakes import World, template

IDLE = {"freezeAfter": "never", "suspendAfter": "1h"}


async def test_the_idlest_of_each_tenant_with_a_quota_is_told_in_the_heartbeat(
    world: World,
) -> None:
    await world.apply(template(idle=IDLE))
    actors = [await world.create(f"c{n}") for n in range(3)]
    async with world.worker() as worker:
        for actor, idle_s in zip(actors, (30, 60, 0), strict=True):
            await worker.woken(actor)
            worker.host.residents[actor].gate.last_active -= idle_s
        assert worker.host.describe().idle_by_tenant == {}
        await world.limit("demo", 5)
        told = worker.host.describe().idle_by_tenant
        assert set(told) == {"demo"} and told["demo"] >= 60


async def test_an_actor_that_is_found_at_another_worker_keeps_the_place_of_that_one(
    world: World,
) -> None:
    actor = await world.create("c1")
    await world.limit("demo", 1)
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        assert isinstance(await two.wake(actor), There)
        while actor in two.host.residents:
            await asyncio.sleep(0.005)
        await two.host._counting.tell()
        assert await world.quotas.quotas.look("demo", 1, "other") == (False, 1)


async def test_who_waits_for_a_place_waits_for_the_word_that_is_on_its_way(world: World) -> None:
    """Two suspends end together: the answer of the second must not come before the first one's
    place, which the second's word went along with, was given back."""
    first, second = await world.create("c1"), await world.create("c2")
    await world.limit("demo", 2)
    async with world.worker() as worker:
        await worker.woken(first)
        await worker.woken(second)
        await asyncio.gather(worker.host.drain())
        await worker.host._counting.tell()
        assert await world.quotas.quotas.look("demo", 2) == (True, 0)
        assert repr(worker.host._counting) == "<Counting 0 left>"
