"""A tenant's quota as a wake meets it: on real hosts and the real table; only drivers are fakes."""

import asyncio
import logging
from pathlib import Path

import pytest

from lifecycle.errors import LifecycleError, QuotaReached
from lifecycle.messages import Here, Refused, SuspendAsk
from lifecycle.quota import KnownQuotas
from placement.connect import connect
from placement.model import ActorId, ActorState
from placement.quotas import Quotas
from placement.server import PrivateServer
from scripts.bench_placement.counting import watched
from tests.lifecycle.gateway_side import gateway_side
from tests.lifecycle.host.fakes import TTL_S, World, soon, template

IDLE = {"freezeAfter": "never", "suspendAfter": "1h"}


async def test_a_tenant_at_its_quota_is_refused_at_once_and_nothing_of_it_waits(
    world: World,
) -> None:
    first, second, third = [await world.create(f"c{n}") for n in range(3)]
    await world.limit("demo", 2)
    async with world.worker(slots=5) as worker, gateway_side(world, worker) as side:
        await side.waker.find(first, deadline=soon())
        await side.waker.find(second, deadline=soon())
        began = asyncio.get_running_loop().time()
        with pytest.raises(QuotaReached, match="namespace demo has 2 running actors"):
            await side.waker.find(third, deadline=soon())
        assert asyncio.get_running_loop().time() - began < 5
        # No worker was asked for it, and its record is as it was.
        assert side.counted("wake") == 2 and side.waker._turns.waiting == 0
        record = await world.table.read(third)
        assert record is not None and record.epoch == 0
        # What runs is found and joined, quota or not.
        assert (await side.waker.find(first, deadline=soon(), distrust=True)).epoch == 1


async def test_another_tenants_actors_are_not_put_to_sleep_for_one_at_its_quota(
    world: World,
) -> None:
    await world.apply(template(idle=IDLE))
    await world.apply({**template(idle=IDLE), "metadata": {"namespace": "s", "name": "counter"}})
    mine, new, theirs = await world.create("c1"), await world.create("c2"), ActorId("s", "c1")
    assert (await world.table.create(theirs, template="counter")).is_done
    await world.limit("demo", 1)
    async with world.worker(slots=3) as worker, gateway_side(world, worker) as side:
        await side.waker.find(mine, deadline=soon())
        await side.waker.find(theirs, deadline=soon())
        # Theirs has been idle for long; mine has a request open.
        worker.host.residents[theirs].gate.last_active -= 600
        ticket = worker.door.admit(mine)
        assert ticket is not None
        await world.leases.renew(worker.host.describe(), worker.host.claimant().incarnation)
        await side.roster.refresh()
        with pytest.raises(QuotaReached):
            await side.waker.find(new, deadline=soon())
        assert theirs in worker.host.residents and side.counted("evict") == 0
        # With room of the other tenant's own, nobody is in its way.
        ticket.close()


async def test_at_its_quota_a_tenants_own_idlest_actor_makes_the_room(world: World) -> None:
    await world.apply(template(idle=IDLE))
    busy, idle, new = [await world.create(f"c{n}") for n in range(3)]
    await world.limit("demo", 2)
    async with world.worker("w1") as one, gateway_side(world, one) as side:
        await side.waker.find(busy, deadline=soon())
        await side.waker.find(idle, deadline=soon())
        one.host.residents[idle].gate.last_active -= 60
        await world.leases.renew(one.host.describe(), one.host.claimant().incarnation)
        await side.roster.refresh()
        assert isinstance(await side.waker.find(new, deadline=soon()), Here)
        assert set(one.host.residents) == {busy, new}


async def test_a_place_is_free_when_its_suspend_was_answered(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    await world.limit("demo", 1)
    async with (
        world.worker("w1", slots=1) as one,
        world.worker("w2", slots=1) as two,
        gateway_side(world, one, two) as side,
    ):
        workers = {"w1": one, "w2": two}
        for actor in (first, second) * 5:
            here = await side.waker.find(actor, deadline=soon())
            await workers[here.worker].host.suspend(SuspendAsk(actor=actor))


async def test_two_gateways_that_both_saw_room_wake_no_more_than_the_quota(world: World) -> None:
    """The look beside the read is a hint; the place beside the claim is not. Who claimed without
    getting one gives the claim back, and its actor can be woken when there is room."""
    actors = [await world.create(f"c{n}") for n in range(12)]
    await world.limit("demo", 3)
    async with world.worker("w1") as one, world.worker("w2") as two:
        answers = await asyncio.gather(
            *((one, two)[n % 2].wake(actor) for n, actor in enumerate(actors))
        )
        woken = [each for each in answers if isinstance(each, Here)]
        refused = {each.error for each in answers if isinstance(each, Refused)}
        assert len(woken) == 3 and refused == {"QuotaReached"}
        assert len(one.driver.running) + len(two.driver.running) == 3
        for actor, answer in zip(actors, answers, strict=True):
            record = await world.table.read(actor)
            assert record is not None and record.failures == 0
            running = isinstance(answer, Here)
            assert record.state is (ActorState.RUNNING if running else ActorState.SUSPENDED)
        for worker in (one, two):
            await worker.host.drain()


async def test_a_wake_within_a_quota_asks_the_record_as_often_as_one_without(
    world: World, redis_server: PrivateServer
) -> None:
    """Three round trips; the look and the place go out beside the first and the second."""
    actor = await world.create("c1")
    await world.limit("demo", 1)
    async with world.worker() as worker, gateway_side(world, worker) as side:
        async with watched(redis_server.url.removeprefix("unix://")) as seen:
            await side.waker.find(actor, deadline=soon())
        # Heartbeats may come in between, and read what runs.
        assert seen.on_actors.pop("get") >= 1
        assert seen.on_actors == {"claim": 1, "ready": 1}


async def test_a_worker_that_dies_gives_back_its_places_within_a_lease(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    await world.limit("demo", 1)
    async with world.worker("w1") as one:
        await one.woken(first)
    # Left without a word: as after kill -9.
    async with world.worker("w2") as two:
        answer = await two.wake(second)
        assert isinstance(answer, Refused) and answer.error == "QuotaReached"
        loop = asyncio.get_running_loop()
        until = loop.time() + 20 * TTL_S
        while not isinstance(await two.wake(second), Here):
            assert loop.time() < until
            await asyncio.sleep(0.05)


async def test_a_lost_count_is_told_anew_by_the_workers(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    await world.limit("demo", 1)
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(first)
        await world.redis.delete("rouse:q:{demo}", "rouse:q:{demo}:by")
        while (await world.quotas.quotas.look("demo", 1, "c2"))[0]:
            await asyncio.sleep(0.02)
        answer = await two.wake(second)
        assert isinstance(answer, Refused) and answer.error == "QuotaReached"


async def test_a_namespace_without_a_quota_costs_the_count_nothing(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, gateway_side(world, worker) as side:
        await side.waker.find(actor, deadline=soon())
        assert not await world.redis.exists("rouse:q:{demo}")


async def test_a_quota_that_is_taken_away_lets_the_next_wake_through(world: World) -> None:
    actor = await world.create("c1")
    await world.limit("demo", 0)
    async with world.worker() as worker, gateway_side(world, worker) as side:
        with pytest.raises(LifecycleError):
            await side.waker.find(actor, deadline=soon())
        await world.limit("demo", None)
        assert isinstance(await side.waker.find(actor, deadline=soon()), Here)


async def test_where_the_count_cannot_be_asked_it_lets_through_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    redis = connect(f"unix://{tmp_path}/none")
    known = KnownQuotas(Quotas(redis, lasts_s=1))
    known._limits = {"demo": 0}
    actor = ActorId("demo", "c1")
    with caplog.at_level(logging.WARNING):
        await known.refresh()
        assert await known.has_room(actor) and await known.take(actor, "w1")
        await known.hold("w1", {"demo": ["c1"]})
        await known.leave("w1", [actor])
    assert len(caplog.records) == 1 and known.limits == {"demo": 0}
    await redis.aclose()
