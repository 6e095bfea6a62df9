"""A world of workers in which any call can be held, broken, or lose its answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement.table import Table
from tests.lifecycle.host.fakes import TEMPLATE, World
from tests.races.failpoints import HeldTable, Points


@pytest.fixture
def points() -> Points:
    return Points()


@pytest.fixture
async def world(redis: Redis, table: Table, points: Points, tmp_path: Path) -> AsyncIterator[World]:
    """`table` is there for what it checks at the end; the world's own can be held."""
    made = World(redis, HeldTable(redis, points), tmp_path)
    await made.apply(TEMPLATE)
    yield made
    await made.vault.close()
