"""Parallel: the same step for many items, a few at a time, ended by the first failure."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def each(
    items: AsyncGenerator[T, None], do: Callable[[T], Awaitable[None]], *, limit: int
) -> None:
    """`do` for every item, at most `limit` at once; the next item is asked for only when there is
    room. The first failure cancels the others and is raised as it is, not in a group."""
    room = asyncio.Semaphore(limit)

    async def one(item: T) -> None:
        try:
            await do(item)
        finally:
            room.release()

    try:
        async with aclosing(items), asyncio.TaskGroup() as group:
            await room.acquire()
            async for item in items:
                group.create_task(one(item), name="one of many snapshot objects")
                await room.acquire()
    except BaseExceptionGroup as failures:
        # The rest fell by cancellation, or for the same cause at the same time.
        raise failures.exceptions[0] from None


async def stream(items: Iterable[T]) -> AsyncGenerator[T, None]:
    for item in items:
        yield item
