"""A step for many items: bounded, and one failure ends it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from lifecycle.snapshots.parallel import each, stream


async def test_every_item_is_done_and_never_more_than_the_limit_at_once() -> None:
    done: list[int] = []
    now = most = 0

    async def step(item: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.append(item)

    await each(stream(range(20)), step, limit=3)
    assert sorted(done) == list(range(20)) and most == 3


async def test_the_first_failure_is_raised_as_it_is_and_cancels_the_rest() -> None:
    cancelled: list[int] = []

    async def step(item: int) -> None:
        if item == 1:
            raise ValueError("one")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    with pytest.raises(ValueError, match="one"):
        await each(stream([0, 1, 2]), step, limit=2)
    assert cancelled == [0]


async def test_a_source_that_fails_is_raised_as_it_is_and_closed() -> None:
    closed = []

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 1
            raise OSError("source")
        finally:
            closed.append(True)

    async def step(_: int) -> None:
        return None

    with pytest.raises(OSError, match="source"):
        await each(source(), step, limit=2)
    assert closed == [True]


async def test_cancelled_from_outside_it_is_cancelled() -> None:
    begun = asyncio.Event()

    async def step(_: int) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(each(stream([1, 2]), step, limit=1), name="each")
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
