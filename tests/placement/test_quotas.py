"""The count of running actors: exact between takers, and whole again by itself after any loss."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from placement import keys
from placement.changes import Change, Feed, QuotaChanged
from placement.model import ActorId
from placement.quotas import Quotas


def named(n: int) -> ActorId:
    return ActorId("demo", f"c{n}")


async def test_of_any_number_of_takers_only_as_many_as_the_quota_get_a_place(redis: Redis) -> None:
    quotas = Quotas(redis, lasts_s=30)
    taken = await asyncio.gather(*(quotas.take(named(n), f"w{n % 4}", 3) for n in range(40)))
    assert taken.count(True) == 3
    assert await quotas.look("demo", 3, "new") == (False, 3)
    # Another tenant's are not counted with them.
    assert await quotas.take(ActorId("other", "c1"), "w1", 1)


async def test_an_actor_has_one_place_whoever_takes_it_and_only_the_last_taker_gives_it_back(
    redis: Redis,
) -> None:
    quotas = Quotas(redis, lasts_s=30)
    assert await quotas.take(named(1), "w1", 1)
    # It moves: the new worker takes it while the old one still has it.
    assert await quotas.take(named(1), "w2", 1)
    await quotas.leave("demo", "w1", ["c1"])
    assert await quotas.look("demo", 1, "c2") == (False, 1)
    assert await quotas.look("demo", 1, "c1") == (True, 1)
    await quotas.leave("demo", "w2", ["c1"])
    assert await quotas.take(named(2), "w1", 1)


async def test_what_a_dead_worker_had_lapses_and_what_a_living_one_has_does_not(
    redis: Redis,
) -> None:
    dead, living = Quotas(redis, lasts_s=0.2), Quotas(redis, lasts_s=30)
    assert await dead.take(named(1), "w1", 2) and await dead.take(named(2), "w2", 2)
    await living.hold("demo", "w2", ["c2"])
    while not await living.take(named(3), "w2", 2):
        await asyncio.sleep(0.01)
    assert await living.look("demo", 2, "c1") == (False, 2)
    assert await living.look("demo", 2, "c2") == (True, 2)


async def test_a_count_that_was_lost_is_whole_when_every_worker_has_told(redis: Redis) -> None:
    quotas = Quotas(redis, lasts_s=30)
    for n in range(3):
        assert await quotas.take(named(n), f"w{n % 2}", 3)
    lost: Any = keys.quota_keys("demo")
    await redis.delete(*lost)
    await quotas.hold("demo", "w0", ["c0", "c2"])
    await quotas.hold("demo", "w1", ["c1"])
    assert not await quotas.take(named(9), "w1", 3)


async def test_more_than_the_quota_are_held_when_they_run_already(redis: Redis) -> None:
    """It is lowered, or given to a namespace that had none: nothing is ended, nothing is woken."""
    quotas = Quotas(redis, lasts_s=30)
    await quotas.hold("demo", "w1", ["c1", "c2", "c3"])
    assert await quotas.look("demo", 1, "c4") == (False, 3)
    assert await quotas.take(named(2), "w1", 1)


async def test_a_quota_is_told_to_all_once_it_changes(redis: Redis) -> None:
    quotas, heard = Quotas(redis, lasts_s=30), asyncio.Queue[Change]()
    feed = Feed(redis)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(feed.run())
        await feed.connected.wait()
        feed.listen(heard.put_nowait)
        assert await quotas.set("demo", 5) and not await quotas.set("demo", 5)
        assert await heard.get() == QuotaChanged(namespace="demo")
        assert await quotas.all() == {"demo": 5}
        assert await quotas.set("demo", None) and not await quotas.set("demo", None)
        assert await heard.get() == QuotaChanged(namespace="demo")
        assert await quotas.all() == {} and heard.empty()
        task.cancel()
