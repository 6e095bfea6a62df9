"""The end of a process, ours or not."""

import asyncio
import os
import signal

from runtimes import procfs
from runtimes.base import Exit
from runtimes.procfs import Pid
from runtimes.spawn import spawn
from runtimes.watch import Watch


def begin(*argv: str) -> Pid:
    return procfs.identify(spawn(argv, env=dict(os.environ), cwd=None, output=2))


async def ended(process: Pid) -> Exit:
    async with asyncio.timeout(10):
        return await Watch(process).ended


async def test_status_and_signal_of_a_child() -> None:
    assert await ended(begin("sh", "-c", "exit 7")) == Exit(code=7)
    child = begin("sleep", "60")
    procfs.send(child, signal.SIGTERM)
    assert await ended(child) == Exit(signal=signal.SIGTERM)


async def test_a_child_is_reaped_once_and_leaves_no_zombie() -> None:
    child = begin("true")
    await ended(child)
    assert procfs.stat(child.pid) is None
    assert await ended(child) == Exit()


async def test_two_watches_both_see_the_end() -> None:
    child = begin("sleep", "60")
    first, second = Watch(child), Watch(child)
    procfs.send(child, signal.SIGKILL)
    async with asyncio.timeout(10):
        ends = await asyncio.gather(first.ended, second.ended)
    assert Exit(signal=9) in ends


async def test_the_end_of_somebody_elses_child_is_seen_without_its_status() -> None:
    parent = begin("sh", "-c", "sleep 60 & wait")
    grandchild = parent
    while grandchild == parent:
        grandchild = max(procfs.family([parent]))
    watch = Watch(grandchild)
    procfs.send(grandchild, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert await watch.ended == Exit()
    await ended(parent)


async def test_a_reused_number_counts_as_ended() -> None:
    me = procfs.identify(os.getpid())
    assert await ended(Pid(me.pid, me.started - 1)) == Exit()


async def test_a_closed_watch_keeps_no_descriptor() -> None:
    child = begin("sleep", "60")
    before = len(os.listdir("/proc/self/fd"))
    watch = Watch(child)
    watch.close()
    assert len(os.listdir("/proc/self/fd")) == before and watch.ended.cancelled()
    procfs.send(child, signal.SIGKILL)
    await ended(child)
