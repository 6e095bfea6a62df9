"""Repeating a call: which id, how long. What a repeat answers: test_table."""

import asyncio

import pytest

from placement.errors import TableUnavailable
from placement.model import Answer, Outcome
from placement.repeat import until_known

ANSWER = Answer(outcome=Outcome.DONE, record=None)


class Away:
    """A table that is away for so many calls."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.calls: list[str] = []

    async def __call__(self, call: str) -> Answer:
        self.calls.append(call)
        if self.left:
            self.left -= 1
            raise TableUnavailable(None, call, "away")
        return ANSWER


@pytest.mark.looptime
async def test_the_same_call_is_repeated_until_its_answer_is_known() -> None:
    away = Away(5)
    assert await until_known(away, deadline=asyncio.get_running_loop().time() + 60) is ANSWER
    assert len(away.calls) == 6 and len(set(away.calls)) == 1


@pytest.mark.looptime
async def test_at_the_deadline_it_is_said_that_nothing_is_known() -> None:
    away, loop = Away(10**6), asyncio.get_running_loop()
    with pytest.raises(TableUnavailable) as unknown:
        await until_known(away, deadline=loop.time() + 30, call="c-1")
    assert unknown.value.call == "c-1"
    assert loop.time() == pytest.approx(30, abs=0.1)
    assert 60 <= len(away.calls) <= 130


@pytest.mark.looptime
async def test_call_that_hangs_is_given_up_at_the_deadline() -> None:
    async def hang(call: str) -> Answer:
        await asyncio.sleep(3600)
        return ANSWER

    loop = asyncio.get_running_loop()
    with pytest.raises(TableUnavailable):
        await until_known(hang, deadline=loop.time() + 5)
    assert loop.time() == pytest.approx(5, abs=0.1)


async def test_other_errors_are_not_repeated() -> None:
    async def wrong(call: str) -> Answer:
        raise KeyError(call)

    with pytest.raises(KeyError):
        await until_known(wrong, deadline=asyncio.get_running_loop().time() + 5)
