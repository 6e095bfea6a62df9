"""Limits of one process and its children by resource limits: what there is without cgroups."""

import contextlib
import resource
import sys

from runtimes.base import Resources

CORE_BYTES = 0
"""No core files: they would fill the disk, and a core of an actor holds what it knew."""


def wanted(
    resources: Resources, *, own_user: bool, memory: bool, extra_pids: int = 0
) -> dict[int, int]:
    """The limits to set, by resource number.

    `own_user`: the sandbox's user id is its own, so that a number of processes per user is a
    number per sandbox. `memory`: nothing better bounds the memory of the whole. `extra_pids`:
    processes of that user that hold the sandbox.
    """
    limits = {resource.RLIMIT_CORE: CORE_BYTES}
    if memory and resources.memory_bytes is not None:
        # Not RLIMIT_AS: Go, Java and Node reserve far more addresses than they ever touch.
        limits[resource.RLIMIT_DATA] = resources.memory_bytes
    if own_user and resources.pids is not None:
        limits[resource.RLIMIT_NPROC] = resources.pids + extra_pids
    return limits


def apply(pid: int, limits: dict[int, int]) -> None:
    """Set soft and hard limits of a running process. Nothing where the system cannot (macOS) or
    the process is gone."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(ProcessLookupError):
        for number, most in limits.items():
            _, hard = resource.prlimit(pid, number)
            bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.prlimit(pid, number, (bounded, bounded))
