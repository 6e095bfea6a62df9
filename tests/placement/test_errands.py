"""An errand is one worker's for a while."""

import asyncio

from redis.asyncio import Redis

from placement.errands import Errands
from placement.keys import errand_key


async def test_one_of_many_takes_it_and_the_next_when_its_time_is_over(redis: Redis) -> None:
    errands = [Errands(redis) for _ in range(5)]
    took = await asyncio.gather(*(e.take("demo/x", "w", lasts_ms=60_000) for e in errands))
    assert sorted(took) == [False, False, False, False, True]
    assert await errands[0].take("demo/y", "w", lasts_ms=60_000)
    await redis.delete(errand_key("demo/x"))  # as its time does
    assert await errands[1].take("demo/x", "w2", lasts_ms=1)
    assert 0 <= await redis.pttl(errand_key("demo/y")) <= 60_000
