"""When a program hangs, by values. Who asks it: test_probing."""

from dataclasses import replace

import pytest

from lifecycle.host.health import Health, Patience, Pulse, look

PATIENCE = Patience(failures=3, failing_s=60.0)
HUNG = Pulse(now=100.0, failures=3, failing_since=40.0, unanswered=1)


def test_a_program_that_answers_no_probe_and_no_request_for_long_hangs() -> None:
    assert look(HUNG, PATIENCE) is Health.HUNG


@pytest.mark.parametrize("change", [{"unanswered": 0}, {"is_computing": True}, {"now": 99.0}])
def test_a25_one_at_work_on_a_long_request_is_left_alone(change: dict[str, object]) -> None:
    assert look(replace(HUNG, **change), PATIENCE) is Health.MUTE  # type: ignore[arg-type]


def test_a_probe_or_two_that_fail_are_nothing() -> None:
    assert look(replace(HUNG, failures=2), PATIENCE) is Health.WELL
