"""Cgroups on the real tree, where one can be written; limits only where controllers reach us."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from runtimes.base import Resources, RuntimeFailure
from runtimes.cgroups import Cgroup, Tree, find_tree

TREE = find_tree()
pytestmark = pytest.mark.skipif(TREE is None, reason="no writable cgroup2 here")


@pytest.fixture
def tree() -> Tree:
    assert TREE is not None
    return TREE


@pytest.fixture
def group(tree: Tree) -> Iterator[Cgroup]:
    made = tree.create(f"rouse-test-{os.urandom(4).hex()}", Resources())
    yield made
    made.kill()
    assert made.remove()


@pytest.fixture
def spinner(group: Cgroup) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(["sh", "-c", "while :; do :; done"])
    group.join(child.pid)
    yield child
    child.kill()
    child.wait()


async def test_frozen_means_no_cpu_until_thawed(
    group: Cgroup, spinner: "subprocess.Popen[bytes]"
) -> None:
    await group.freeze()
    assert group.is_frozen
    before = group.cpu_s()
    assert group.cpu_s() == before
    group.thaw()
    while group.cpu_s() == before:
        os.sched_yield()
    assert not group.is_frozen


async def test_a_frozen_group_is_killed_whole(
    group: Cgroup, spinner: "subprocess.Popen[bytes]"
) -> None:
    await group.freeze()
    group.kill()
    spinner.wait()
    assert not group.is_populated


async def test_a_group_that_is_gone_cannot_be_frozen(tree: Tree) -> None:
    with pytest.raises(RuntimeFailure, match="gone"):
        await tree.at("rouse-test-never-made").freeze()


async def test_an_empty_group_freezes_at_once(group: Cgroup) -> None:
    await group.freeze()
    group.thaw()


def test_memory_is_counted_with_or_without_a_controller(
    group: Cgroup, spinner: "subprocess.Popen[bytes]"
) -> None:
    assert group.pids() == [spinner.pid]
    while group.memory_bytes() < 100_000:  # it grows as the shell begins
        os.sched_yield()


def test_a_group_in_use_is_not_removed_and_a_missing_one_is(
    tree: Tree, group: Cgroup, spinner: "subprocess.Popen[bytes]"
) -> None:
    assert not group.remove()
    gone = tree.at("rouse-test-never-made")
    assert gone.remove() and gone.pids() == [] and not gone.is_populated
    gone.kill()
    gone.thaw()


def test_limits_are_written_where_a_controller_reaches(tree: Tree) -> None:
    made = tree.create("rouse-test-limits", Resources(memory_bytes=1 << 26, cpu=0.5, pids=9))
    try:
        wanted = {"cpu": ("cpu.max", "50000 100000"), "pids": ("pids.max", "9")}
        wanted["memory"] = ("memory.max", str(1 << 26))
        for controller, (name, value) in wanted.items():
            file = made.path / name
            if controller in tree.controllers:
                assert file.read_text().strip() == value
            else:
                assert not file.exists()
    finally:
        assert made.remove()


def test_version_1_is_taken_only_for_what_version_2_lacks(tree: Tree) -> None:
    both = tree.with_version_1()
    assert both.controllers == tree.controllers | set(both.beside)
    assert not tree.controllers & set(both.beside)
    assert both.at("rouse-test").path == tree.at("rouse-test").path


def test_a_group_that_goes_in_the_same_moment_is_gone_and_no_error(tree: Tree) -> None:
    group = tree.at("rouse-test-going")
    until = time.monotonic() + 0.5

    def come_and_go() -> None:
        while time.monotonic() < until:
            group.path.mkdir()
            group.remove()

    going = threading.Thread(target=come_and_go)
    going.start()
    try:
        while going.is_alive():
            group.thaw()
            group.kill()
    finally:
        going.join()
