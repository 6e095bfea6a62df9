"""A store that fails where a test says, around one that is real."""

import asyncio
from collections.abc import AsyncIterator

from lifecycle.snapshots.base import Store, StoreUnavailable


class FailingStore:
    """`plan` holds what is to go wrong, in order: `before create` (it fails and did nothing),
    `after create` (it was done, the answer is lost), `hang create` (it never answers); a third
    word narrows it to keys that contain it. `calls` is what was asked."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.plan: list[str] = []
        self.calls: list[str] = []
        self.hung = asyncio.Event()
        self._go = asyncio.Event()

    def release(self) -> None:
        """What hangs goes on."""
        self._go.set()

    async def _at(self, moment: str, call: str, key: str) -> None:
        if moment == "before":
            self.calls.append(call)
        if not self.plan:
            return
        planned, wanted, part = (*self.plan[0].split(" "), "")[:3]
        if wanted != call or part not in key:
            return
        if planned == "hang" and moment == "before":
            del self.plan[0]
            self.hung.set()
            await self._go.wait()
        elif planned == moment:
            del self.plan[0]
            raise StoreUnavailable(f"failed {moment} {call}")

    async def create(self, key: str, body: bytes) -> None:
        await self._at("before", "create", key)
        await self.store.create(key, body)
        await self._at("after", "create", key)

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        await self._at("before", "read", key)
        return await self.store.read(key, offset, length)

    async def remove(self, key: str) -> None:
        await self._at("before", "remove", key)
        await self.store.remove(key)
        await self._at("after", "remove", key)

    async def keys(self, prefix: str) -> AsyncIterator[str]:
        await self._at("before", "keys", prefix)
        async for key in self.store.keys(prefix):
            yield key
            await self._at("after", "keys", key)

    async def check(self) -> None:
        await self._at("before", "check", "")
        await self.store.check()

    async def close(self) -> None:
        await self.store.close()
