"""Quotas: how many actors of a namespace may run at once in the whole cluster, and who counts.

The count is an index in the namespace's own slot: the names that run, each until a time that its
worker moves on with every heartbeat. It is derived like the other indexes: lost, it is whole again
after a third of a lease; and what a dead process had taken lapses by itself.
"""

from collections.abc import Sequence
from typing import Any

from placement import keys
from placement.connect import Client
from placement.errors import reaching
from placement.model import ActorId
from placement.scripts import Scripts


class Quotas:
    """`lasts_s`: for how long a place is taken without being told again. All raise Unavailable."""

    def __init__(self, redis: Client, *, lasts_s: float) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._lasts_ms = str(int(lasts_s * 1000))

    async def all(self) -> dict[str, int]:
        """The quota of each namespace that has one."""
        async with reaching():
            found: Any = await self._redis.hgetall(keys.QUOTAS)
        return {namespace.decode(): int(quota) for namespace, quota in found.items()}

    async def set(self, namespace: str, quota: int | None) -> bool:
        """None: no quota. False when it was so already. What runs is left alone."""
        value = "" if quota is None else str(quota)
        arguments = [namespace, value, keys.CHANGES, f"q {namespace}"]
        return bool(await self._scripts.run("quota_set", [keys.QUOTAS], arguments))

    async def look(self, namespace: str, quota: int, name: str = "") -> tuple[bool, int]:
        """Could `name` run, and how many do."""
        places = keys.quota_keys(namespace)[:1]
        may_run, taken = await self._scripts.run("quota_look", places, [name, str(quota)])
        return bool(may_run), int(taken)

    async def take(self, actor: ActorId, worker: str, quota: int) -> bool:
        """A place for one that is about to be claimed; False: all are taken."""
        arguments = [actor.name, worker, str(quota), self._lasts_ms]
        return bool(await self._run("quota_take", actor.namespace, arguments))

    async def hold(self, namespace: str, worker: str, names: Sequence[str]) -> None:
        """These run at this worker."""
        await self._run("quota_hold", namespace, [worker, self._lasts_ms, *names])

    async def leave(self, namespace: str, worker: str, names: Sequence[str]) -> None:
        """These do not any more."""
        await self._run("quota_leave", namespace, [worker, *names])

    async def _run(self, script: str, namespace: str, arguments: Sequence[str]) -> int:
        both = keys.quota_keys(namespace)
        return int(await self._scripts.run(script, both, arguments, prelude="quota"))
