"""Drivers where they work; CI must have them, a desk may not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes.cgroups import find_tree
from runtimes.gvisor import Gvisor
from runtimes.microvm import Microvm
from tests.contract.driver import Bench


@pytest.fixture
async def gvisor(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(root=tmp_path, make=lambda root: Gvisor(root, tree=find_tree()))
    async with bench.working():
        yield bench


@pytest.fixture
async def microvm(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(root=tmp_path, make=lambda root: Microvm(root, tree=find_tree()))
    async with bench.working():
        yield bench
