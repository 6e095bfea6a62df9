"""Resource limits as they are set on a running process."""

import resource
import subprocess

from runtimes import limits
from runtimes.base import Resources

SOME = Resources(memory_bytes=1 << 26, cpu=0.5, pids=7)


def test_processes_are_limited_only_where_the_user_is_the_sandboxs_own() -> None:
    assert resource.RLIMIT_NPROC not in limits.wanted(SOME, own_user=False, memory=True)
    found = limits.wanted(SOME, own_user=True, memory=True, extra_pids=2)
    assert found[resource.RLIMIT_NPROC] == 9


def test_memory_is_left_to_what_bounds_the_whole() -> None:
    assert resource.RLIMIT_DATA not in limits.wanted(SOME, own_user=True, memory=False)
    assert limits.wanted(SOME, own_user=True, memory=True)[resource.RLIMIT_DATA] == 1 << 26


def test_nothing_asked_leaves_only_no_core_files() -> None:
    found = limits.wanted(Resources(), own_user=True, memory=True)
    assert found == {resource.RLIMIT_CORE: 0}


def test_limits_hold_for_a_process_that_runs() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        limits.apply(child.pid, {resource.RLIMIT_DATA: 1 << 26})
        assert resource.prlimit(child.pid, resource.RLIMIT_DATA) == (1 << 26, 1 << 26)
    finally:
        child.kill()
        child.wait()
    limits.apply(child.pid, {resource.RLIMIT_DATA: 1})
