"""The index of actors: which names there are, in order. Derived, repairable, never the truth."""

from collections.abc import Sequence
from typing import Any

from placement import keys, wire
from placement.connect import Client
from placement.errors import reaching
from placement.model import ActorId, ActorRecord
from placement.scripts import Scripts

_LEAF = 127
"""Names in one leaf. Redis keeps up to 128 as one compact block, and a leaf that is about to be
split has one more for a moment: once it is no compact block it never is one again."""
_SCAN = 1_000
_PAGE = 1_000


class Listing:
    """A record without an entry is listed again after `repair`, or after its first suspend; an
    entry without a record is left out of the answer and removed."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    async def add(self, actor: ActorId) -> int:
        """Enter it; 1 when it was missing."""
        root = keys.index_key(actor.namespace)
        added = await self._scripts.run("index_add", [root], [actor.name, str(_LEAF)])
        # After the name: whoever takes an empty namespace out looks once more afterwards.
        async with reaching():
            await self._redis.zadd(keys.NAMESPACES, {actor.namespace: 0})
        return int(added)

    async def remove(self, actor: ActorId) -> None:
        """Take out an actor that is no more."""
        root = keys.index_key(actor.namespace)
        is_empty = await self._scripts.run("index_remove", [root], [actor.name])
        async with reaching():
            if is_empty:
                await self._redis.zrem(keys.NAMESPACES, actor.namespace)
                if await self._redis.exists(root):
                    await self._redis.zadd(keys.NAMESPACES, {actor.namespace: 0})
            # The name may have been made anew between the delete and here: its entry went too.
            packed: Any = await self._redis.get(keys.actor_key(actor))
        if wire.decode(actor, packed) is not None:
            await self.add(actor)

    async def list(
        self, namespace: str | None, *, cursor: str | None = None, limit: int = 100
    ) -> tuple[Sequence[ActorRecord], str | None]:
        """Up to `limit` records in order of namespace and name, and the cursor of the next page;
        None at the end. Deleted ones make a page shorter, not the last."""
        limit = max(1, min(limit, _PAGE))
        names = await self._names(namespace, cursor or "", limit)
        following = str(names[-1]) if len(names) == limit else None
        return await self._records(names), following

    async def repair(self) -> int:
        """Enter every actor there is; return how many were missing. Reads the whole keyspace."""
        missing = 0
        scan = aiter(self._redis.scan_iter(match=keys.ACTOR_PATTERN, count=_SCAN))
        while True:
            async with reaching():
                key: Any = await anext(scan, None)
            if key is None:
                return missing
            actor = keys.actor_of(key.decode())
            async with reaching():
                packed: Any = await self._redis.get(key)
            if wire.decode(actor, packed) is not None:
                missing += await self.add(actor)

    async def _names(self, namespace: str | None, cursor: str, limit: int) -> Sequence[ActorId]:
        begin, _, after = cursor.partition("/")
        if namespace is not None:
            # A cursor of another namespace is a caller's mistake that must not skip names.
            return await self._page(namespace, after if begin == namespace else "", limit)
        found: list[ActorId] = []
        for space in await self._namespaces(begin):
            if len(found) == limit:
                break
            rest = limit - len(found)
            found += await self._page(space, after if space == begin else "", rest)
        return found

    async def _namespaces(self, begin: str) -> Sequence[str]:
        lowest = f"[{begin}" if begin else "-"
        async with reaching():
            found: Any = await self._redis.zrangebylex(keys.NAMESPACES, lowest, "+")
        return [name.decode() for name in found]

    async def _page(self, namespace: str, after: str, limit: int) -> Sequence[ActorId]:
        names = await self._scripts.run(
            "index_page", [keys.index_key(namespace)], [after, str(limit)]
        )
        return [ActorId(namespace, name.decode()) for name in names]

    async def _records(self, actors: Sequence[ActorId]) -> Sequence[ActorRecord]:
        # Not one transaction: each record is as of its own read, and in a cluster from its node.
        async with reaching():
            async with self._redis.pipeline(transaction=False) as pipe:
                for actor in actors:
                    pipe.execute_command("GET", keys.actor_key(actor))
                answers = await pipe.execute() if actors else []
        records = []
        for actor, packed in zip(actors, answers, strict=True):
            record = wire.decode(actor, packed)
            if record is not None:
                records.append(record)
            else:
                await self.remove(actor)
        return records
