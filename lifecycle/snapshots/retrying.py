"""Retrying: a store around a store that repeats what may pass, within one budget, jittered.

A repeated `create` can meet its own object, when the first answer was lost. So a name that is
taken after an attempt of unknown outcome is read back: the same bytes are our own write (names
are random, and what is sealed is never equal by chance); anything else is an error. A name that
was taken at the first attempt is always an error.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from lifecycle.snapshots.base import ObjectExists, Store, StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Retrying:
    """`budget_s` bounds each operation, all its attempts and pauses together."""

    def __init__(self, store: Store, *, budget_s: float, chance: random.Random) -> None:
        self._store = store
        self._budget_s = budget_s
        self._chance = chance

    def __repr__(self) -> str:
        return f"<Retrying {self._store!r}, {self._budget_s:.0f} s>"

    async def create(self, key: str, body: bytes) -> None:
        is_unsure = False

        async def attempt() -> None:
            nonlocal is_unsure
            try:
                await self._store.create(key, body)
            except ObjectExists:
                if not is_unsure or await self._store.read(key) != body:
                    raise
            except BaseException:
                is_unsure = True
                raise

        await self._persist("create", attempt)

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return await self._persist("read", lambda: self._store.read(key, offset, length))

    async def remove(self, key: str) -> None:
        await self._persist("remove", lambda: self._store.remove(key))

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        # Whole before the first is handed on: a listing that broke off begins anew.
        async def listing() -> list[str]:
            return [key async for key in self._store.keys(prefix)]

        for key in await self._persist("list", listing):
            yield key

    async def check(self) -> None:
        """Asks once: who checks wants to know how it is now."""
        async with asyncio.timeout(self._budget_s):
            await self._store.check()

    async def close(self) -> None:
        await self._store.close()

    async def _persist(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._budget_s
        pause = _FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await attempt()
            except TimeoutError as error:
                raise StoreUnavailable(f"no answer in {self._budget_s:g} s") from error
            except StoreUnavailable as error:
                wait = pause * self._chance.uniform(0.5, 1.5)
                if loop.time() + wait >= deadline:
                    raise
                log.info(
                    "snapshot store is away, trying again",
                    extra={"operation": what, "why": str(error)[:200], "wait_s": round(wait, 3)},
                )
                await asyncio.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
