"""The memory controller of version 1 where a machine has it; elsewhere there is none to find."""

import os
import secrets
from pathlib import Path

import pytest

from runtimes.cgroups_v1 import MemoryGroup, find_memory


def test_a_group_limits_counts_and_goes() -> None:
    place = find_memory()
    if place is None or os.geteuid() != 0:
        pytest.skip("no memory controller of version 1 here")
    group = MemoryGroup(place / f"rouse-test-{secrets.token_hex(4)}")
    group.create(64 << 20)
    try:
        assert (group.path / "memory.limit_in_bytes").read_text().strip() == str(64 << 20)
        assert group.used_bytes() == 0 and not group.saw_oom()
    finally:
        assert group.remove()
    assert group.remove()


def test_one_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    group = MemoryGroup(tmp_path / "none")
    assert group.used_bytes() is None and not group.saw_oom() and group.remove()
