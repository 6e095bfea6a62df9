"""Limits by version 1 where a machine has it; elsewhere there is none to find."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from runtimes.base import Resources
from runtimes.cgroups_v1 import Groups, MemoryGroup, find, find_memory


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


def test_groups_are_made_for_what_is_limited_and_hold_who_joins() -> None:
    places = find()
    if not {"pids", "cpu"} <= set(places) or os.geteuid() != 0:
        pytest.skip("no controllers of version 1 here")
    groups = Groups(places=places, slug=f"rouse-test-{secrets.token_hex(4)}")
    groups.create(Resources(pids=7, cpu=0.5))
    child = subprocess.Popen(["sleep", "60"])
    try:
        groups.join(child.pid)
        made = {name for name, place in places.items() if (place / groups.slug).exists()}
        assert made == {"pids", "cpu"}
        assert (places["pids"] / groups.slug / "pids.max").read_text() == "7\n"
        assert (places["cpu"] / groups.slug / "cpu.cfs_quota_us").read_text() == "50000\n"
        joined = (places["cpu"] / groups.slug / "cgroup.procs").read_text()
        assert joined == f"{child.pid}\n" and not groups.remove()
    finally:
        child.kill()
        child.wait()
        while not groups.remove():
            os.sched_yield()


def test_a_controller_that_is_nowhere_limits_nothing(tmp_path: Path) -> None:
    groups = Groups(places={}, slug="rouse-test")
    groups.create(Resources(memory_bytes=1 << 20, pids=7, cpu=0.5))
    groups.join(os.getpid())
    assert groups.memory is None and groups.remove() and not list(tmp_path.iterdir())


def test_who_was_forked_elsewhere_leaves_the_group_it_came_from() -> None:
    place = find_memory()
    if place is None or os.geteuid() != 0:
        pytest.skip("no memory controller of version 1 here")
    slug = f"rouse-test-{secrets.token_hex(4)}"
    parents = Groups(places={"memory": place}, slug=f"{slug}-parent")
    parents.create(Resources(memory_bytes=64 << 20))
    child = subprocess.Popen(["sleep", "60"])
    try:
        parents.join(child.pid)
        assert not parents.remove()
        # It has no limit of its own, and so no group.
        Groups(places={"memory": place}, slug=slug).adopt(child.pid)
        assert parents.remove()
    finally:
        child.kill()
        child.wait()
        parents.remove()
