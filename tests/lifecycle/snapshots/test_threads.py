"""Blocking work ends before its cancellation does."""

import asyncio
import threading

import pytest

from lifecycle.snapshots.threads import Stop, Stopped, Threads


async def test_work_gives_its_answer_or_its_error() -> None:
    threads = Threads(1, "test")
    assert await threads.run(lambda _: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda _: 1 // 0)
    threads.close()


async def test_cancelled_work_is_told_and_waited_for() -> None:
    threads = Threads(1, "test")
    begun, ended = threading.Event(), threading.Event()

    def work(stop: Stop) -> None:
        begun.set()
        try:
            while True:
                stop.check()
        except Stopped:
            ended.set()
            raise

    async with asyncio.TaskGroup() as group:
        task = group.create_task(threads.run(work), name="work")
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
    threads.close()


async def test_a_second_cancel_does_not_leave_the_work_behind() -> None:
    threads = Threads(1, "test")
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait()
        ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(threads.run_surely(work), name="work")
        await asyncio.to_thread(begun.wait)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()
    threads.close()


async def test_cancelled_in_the_queue_it_never_runs() -> None:
    threads = Threads(1, "test")
    go, ran = threading.Event(), threading.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(threads.run(lambda _: go.wait()), name="first")
        second = group.create_task(threads.run(lambda _: ran.set()), name="second")
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go.set()
    assert not ran.is_set()
    threads.close()
