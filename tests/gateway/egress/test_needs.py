"""Steps: begun, waited for, ended; what the rules raise comes through."""

import pytest

from gateway.egress import needs
from gateway.egress.refusals import Refusal, Refused


def _steps(fails: bool = False) -> needs.Steps[int]:
    first = yield needs.Body(most=1)
    second = yield needs.Secrets(sources=())
    if fails:
        raise Refusal(Refused.RATE, "no")
    return len(first) + (second or 0)


def _at_once() -> needs.Steps[int]:
    return 7
    yield needs.Body(most=1)


async def test_what_needs_nothing_is_there_at_once() -> None:
    assert needs.begun(_at_once()) == 7


async def test_each_need_is_met_in_turn() -> None:
    met: list[needs.Need] = []

    async def meet(need: needs.Need) -> object:
        met.append(need)
        return b"abc" if isinstance(need, needs.Body) else None

    pending = needs.begun(_steps())
    assert isinstance(pending, needs.Pending)
    assert await pending.finish(meet) == 3 and len(met) == 2


async def test_a_refusal_of_the_rules_comes_through() -> None:
    async def meet(_need: needs.Need) -> object:
        return b""

    pending = needs.begun(_steps(fails=True))
    assert isinstance(pending, needs.Pending)
    with pytest.raises(Refusal):
        await pending.finish(meet)


def test_run_takes_what_is_known_beforehand() -> None:
    assert needs.run(_steps(), lambda need: b"ab" if isinstance(need, needs.Body) else 1) == 3
