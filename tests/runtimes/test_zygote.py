"""What the worker hears of a zygote, spoken here by the test itself."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest

from runtimes import procfs
from runtimes.base import Exit, RuntimeFailure
from runtimes.cradle import receive, send
from runtimes.zygote import Stale, Zygote, forkable

STATUS = "Name:\tpython3\nThreads:\t{threads}\n"


class Spoken:
    """A zygote whose words are the test's; the process that stands for it is this one."""

    def __init__(self) -> None:
        control, self.line = socket.socketpair()
        self.line.settimeout(10)
        self.zygote = Zygote("demo/web", control, procfs.identify(os.getpid()))


@pytest.fixture
async def spoken() -> AsyncIterator[Spoken]:
    made = Spoken()
    yield made
    made.zygote.close()
    made.line.close()


async def asked(spoken: Spoken) -> list[int]:
    got = await asyncio.to_thread(receive, spoken.line)
    assert got is not None and got[0] == {"fork": True}
    return got[1]


async def forks(spoken: Spoken, answer: dict[str, object]) -> socket.socket:
    async with asyncio.TaskGroup() as group:
        fork = group.create_task(spoken.zygote.fork(), name="fork")
        os.close((await asked(spoken))[0])
        send(spoken.line, answer)
    return fork.result()


async def test_a_fork_is_a_line_to_the_child(spoken: Spoken) -> None:
    async with asyncio.TaskGroup() as group:
        fork = group.create_task(spoken.zygote.fork(), name="fork")
        (theirs,) = await asked(spoken)
        send(spoken.line, {"forked": 7})
    with fork.result() as mine, socket.socket(fileno=theirs) as child:
        child.send(b"here")
        mine.setblocking(True)
        assert mine.recv(10) == b"here"


async def test_a_stale_parent_is_told_from_a_broken_one(spoken: Spoken) -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        await forks(spoken, {"stale": "/app/main.py"})
    assert failed.group_contains(Stale, match="main.py")
    assert spoken.zygote.is_alive


async def test_an_asker_that_gave_up_takes_no_answer_from_the_next(spoken: Spoken) -> None:
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(spoken.zygote.fork(), name="gone")
        os.close((await asked(spoken))[0])
        gone.cancel()
    async with asyncio.TaskGroup() as group:
        second = group.create_task(spoken.zygote.fork(), name="second")
        os.close((await asked(spoken))[0])
        send(spoken.line, {"forked": 1})
        await asyncio.sleep(0)
        assert not second.done()
        send(spoken.line, {"forked": 2})
    second.result().close()


async def test_an_end_is_known_before_and_after_it_is_asked_for(spoken: Spoken) -> None:
    send(spoken.line, {"ended": [[11, 3], [12, -9]]})
    assert await spoken.zygote.exit_of(12) == Exit(signal=9)
    assert await spoken.zygote.exit_of(11) == Exit(code=3)
    async with asyncio.TaskGroup() as group:
        late = group.create_task(spoken.zygote.exit_of(13), name="late")
        await asyncio.sleep(0)
        send(spoken.line, {"ended": [[13, 0]]})
    assert late.result() == Exit(code=0)


async def test_a_reused_number_is_not_told_its_predecessors_end(spoken: Spoken) -> None:
    send(spoken.line, {"ended": [[11, 3], [12, 0]]})
    await spoken.zygote.exit_of(12)
    spoken.zygote.born(11)
    send(spoken.line, {"ended": [[11, 5]]})
    assert await spoken.zygote.exit_of(11) == Exit(code=5)


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b'\0\0\0\1"'])
async def test_nonsense_ends_it_and_all_who_wait(spoken: Spoken, nonsense: bytes) -> None:
    with pytest.raises(BaseExceptionGroup) as failed:
        async with asyncio.TaskGroup() as group:
            group.create_task(spoken.zygote.fork(), name="fork")
            os.close((await asked(spoken))[0])
            spoken.line.send(nonsense)
    assert failed.group_contains(RuntimeFailure, match="ended")
    assert not spoken.zygote.is_alive
    assert await spoken.zygote.exit_of(5) == Exit()


def test_threads_and_shared_memory_are_reasons_not_to_fork() -> None:
    plain = "7f0-7f1 rw-p 0 00:00 0\n7f1-7f2 r--s 0 08:01 5 /usr/lib/gconv.cache\n"
    assert forkable(STATUS.format(threads=1), plain) == ""
    assert "3 threads" in forkable(STATUS.format(threads=3), plain)
    shared = plain + "7f2-7f3 rw-s 0 00:01 9 /dev/zero (deleted)\n"
    assert "/dev/zero" in forkable(STATUS.format(threads=1), shared)
