"""Budgets: what an actor or a namespace may use in a rolling window, counted for all workers in
Redis. Asked before a call, charged after it: a call that has begun is never cut by a budget.
"""

from importlib.resources import files
from typing import TYPE_CHECKING, Protocol, cast

from redis.exceptions import RedisError

from gateway.egress.ask import Actor
from gateway.egress.config.model import Budget

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from redis.asyncio import Redis
    from redis.asyncio.cluster import RedisCluster

SLOTS = 60
"""Parts of a window: what is older than it leaves in steps of a sixtieth."""


class BudgetsAway(Exception):
    """The store did not answer: nobody knows what is left."""


class Ledger(Protocol):
    async def spent(self, key: str, window_s: float) -> float:
        """Raises BudgetsAway."""
        ...

    async def add(self, key: str, window_s: float, amount: float) -> None:
        """Raises BudgetsAway."""
        ...


def key_of(budget: Budget, actor: Actor) -> str:
    """The braces are the cluster's hash tag, as with actors' records."""
    who = actor.id if budget.per == "actor" else actor.namespace
    return f"rouse:e:{{{who}}}:{budget.per}:{budget.name}"


class RedisLedger:
    def __init__(self, redis: "Redis | RedisCluster") -> None:
        folder = files("gateway.egress.metering") / "lua"
        self._spent = redis.register_script((folder / "spent.lua").read_text())
        self._add = redis.register_script((folder / "add.lua").read_text())

    async def spent(self, key: str, window_s: float) -> float:
        answer = await self._call(self._spent(keys=[key], args=[_slot_ms(window_s)]))
        return float(answer)

    async def add(self, key: str, window_s: float, amount: float) -> None:
        args: list[str | int] = [_slot_ms(window_s), repr(amount)]
        await self._call(self._add(keys=[key], args=args))

    async def _call(self, call: object) -> str:
        try:
            return cast("str", await cast("Awaitable[object]", call))
        except (RedisError, OSError, TimeoutError) as error:
            raise BudgetsAway(type(error).__name__) from error


def _slot_ms(window_s: float) -> int:
    return max(1, int(window_s * 1000 / SLOTS))
