"""A gVisor driver where it works; CI must have it, a desk may not."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes.cgroups import find_tree
from runtimes.gvisor import Gvisor
from tests.contract.driver import Bench


@pytest.fixture
async def gvisor(tmp_path: Path) -> AsyncIterator[Bench]:
    def make(root: Path) -> Gvisor:
        return Gvisor(root, tree=find_tree())

    bench = Bench(root=tmp_path, make=make)
    found = await bench.driver.fingerprint()
    if not found.works:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {found.why_not}")
        pytest.skip(found.why_not)
    yield bench
    for handle in bench.begun:
        await bench.driver.stop(handle, 0)
    await bench.driver.sweep(())
    assert bench.leftovers() == set()
