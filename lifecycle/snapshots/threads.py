"""Threads: blocking work, bounded in number, that has ended before its cancellation has.

`asyncio.to_thread` lets a cancelled caller go while its thread writes on; whoever then cleans up
would race with it. Here the caller is held until the thread has seen the stop and returned.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """Raised inside the work whose caller was cancelled; nobody but the work sees it."""


class Stop:
    """Asked by the work between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        if self._event.is_set():
            raise Stopped


class Threads:
    """At most `limit` pieces of work at once; further ones wait their turn."""

    def __init__(self, limit: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix=name)

    async def run(self, work: Callable[[Stop], T]) -> T:
        """Cancelled, it stops the work and is over when the work is."""
        stop = Stop()
        job = self._executor.submit(work, stop)
        future = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            stop.set()
            # The job, not the future, which would call itself cancelled while the thread runs on.
            # It leaves the queue, if it had not begun.
            job.cancel()
            await _outlast(future)
            raise

    async def run_surely(self, work: Callable[[], None]) -> None:
        """Clean-up: begun and ended, whoever cancels meanwhile."""
        future = asyncio.wrap_future(self._executor.submit(work))
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            await _outlast(future)
            raise

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


async def _outlast(future: asyncio.Future[T]) -> None:
    while not future.done():
        # A second cancel must not set the caller free either: it passes the first one on.
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # seen: the caller was cancelled, nobody else will ask
