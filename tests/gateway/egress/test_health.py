"""Backends that are out: for how long, and that they come back."""

import pytest

from gateway.egress.health import LONGEST_OUT_S, OUT_S, Health, is_bad, out_s


def test_what_failed_is_out_for_a_while_and_comes_back() -> None:
    health = Health()
    assert not health.is_out("a", 0.0)
    health.failed("a", 0.0)
    assert health.is_out("a", OUT_S - 1) and not health.is_out("a", OUT_S)
    health.failed("a", 0.0, for_s=1e9)
    assert health.is_out("a", LONGEST_OUT_S - 1) and not health.is_out("a", LONGEST_OUT_S)
    health.answered("a")
    assert not health.is_out("a", 1.0)


@pytest.mark.parametrize(
    ("said", "seconds"), [(None, OUT_S), ("7", 7.0), ("soon", OUT_S), ("9" * 30, 999999.0)]
)
def test_a_server_says_itself_when_to_come_again(said: str | None, seconds: float) -> None:
    assert out_s(said) == seconds


def test_which_answers_are_bad() -> None:
    assert [each for each in (200, 404, 429, 500, 503) if is_bad(each)] == [429, 500, 503]
