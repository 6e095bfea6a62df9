"""The ledger in a real Redis: windows that roll, and a store that is away."""

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.egress.metering.budgets import BudgetsAway, RedisLedger, key_of
from tests.gateway.egress.documents import ACTOR, document


async def test_a_window_rolls(redis: "Redis") -> None:
    ledger = RedisLedger(redis)
    assert await ledger.spent("rouse:e:{a}:x", 0.6) == 0
    await ledger.add("rouse:e:{a}:x", 0.6, 1.5)
    await ledger.add("rouse:e:{a}:x", 0.6, 2.0)
    assert await ledger.spent("rouse:e:{a}:x", 0.6) == 3.5
    async with asyncio.timeout(10):
        while await ledger.spent("rouse:e:{a}:x", 0.6):
            await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        while await redis.exists("rouse:e:{a}:x"):
            await asyncio.sleep(0.05)


async def test_a_store_that_is_away_is_told() -> None:
    client = Redis(host="127.0.0.1", port=1)
    with pytest.raises(BudgetsAway):
        await RedisLedger(client).spent("k", 1)
    await client.aclose()


def test_a_budget_is_an_actors_or_a_namespaces() -> None:
    text = ("rouse: {budgets: [{name: d, per: %s, limit: {unit: Tokens, amount: 1}, "
            "window: {rolling: 1h}}]}")  # fmt: skip
    keys = [key_of(document(text % per).budgets[0], ACTOR) for per in ("actor", "namespace")]
    assert keys == ["rouse:e:{demo/c1}:actor:d", "rouse:e:{demo}:namespace:d"]
