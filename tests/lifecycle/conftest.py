"""The world that the tests of this room share: table, catalog, store, and workers on them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement.table import Table
from tests.lifecycle.host.fakes import TEMPLATE, World


@pytest.fixture
async def world(redis: Redis, table: Table, tmp_path: Path) -> AsyncIterator[World]:
    made = World(redis, table, tmp_path)
    await made.apply(TEMPLATE)
    yield made
    await made.vault.close()
