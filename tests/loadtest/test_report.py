"""The report: its numbers, and when a run does not count as passed."""

import pytest

from loadtest.report import percentile, report
from loadtest.samples import Sample


def sample(user: str, took_ms: float, wake: str = "", error: str = "") -> Sample:
    return Sample.of(user=user, took_ms=took_ms, rouse_wake=wake, error=error)


def whole_run() -> list[Sample]:
    return [
        *(sample("warm", float(ms)) for ms in range(1, 101)),
        sample("cold", 60.0, "cold; total=50, queue=1, claim=2, fetch=3, restore=14, ready=30"),
        sample("return", 4.0, "thaw; total=3"),
        sample("return", 90.0, "cold; total=80"),
        sample("herd", 70.0, "cold; total=65"),
        sample("suspend", 20.0),
    ]


@pytest.mark.parametrize(
    ("values", "rank", "expected"),
    [([7.0], 99, 7.0), ([3.0, 1.0, 2.0], 50, 2.0), (list(range(1, 101)), 99, 99)],
)
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], rank: float, expected: float
) -> None:
    assert percentile(values, rank) == expected


def row(lines: tuple[str, ...], label: str) -> list[str]:
    (line,) = [line for line in lines if line.startswith(label)]
    return line[len(label) :].split()


def test_a_whole_run_without_errors_passes() -> None:
    told = report(whole_run(), seconds=10.0)
    assert told.complaints == ()
    assert told.lines[0] == "105 requests in 10 s, 10/s, 0 errors"
    assert row(told.lines, "warm") == ["100", "50.0", "95.0", "99.0"]
    assert row(told.lines, "thaw of a frozen actor") == ["1", "4.0", "4.0", "4.0"]


def test_a61_the_phases_of_a_cold_wake_are_told_apart() -> None:
    lines = report(whole_run(), seconds=10.0).lines
    assert row(lines, "  ready") == ["1", "30.0", "30.0", "30.0"]
    # Only callers who were alone with their wake: a herd's phases are one wake told many times.
    assert row(lines, "  total") == ["1", "50.0", "50.0", "50.0"]


def test_a24_the_cost_of_a_suspend_is_woken_minus_warm() -> None:
    assert report(whole_run(), seconds=10.0).lines[-1].endswith("(woken p50 - warm p50): 10.0 ms")


def test_any_error_fails_the_run_and_is_shown_with_its_count() -> None:
    failed = sample("warm", 1.0, error="status 502: broken")
    told = report([*whole_run(), failed, failed], seconds=10.0)
    assert told.complaints == ("2 errors",)
    assert told.lines[-1] == "     2 x warm: status 502: broken"


def test_failed_requests_do_not_improve_the_percentiles() -> None:
    told = report([*whole_run(), sample("warm", 0.01, error="refused")], seconds=10.0)
    assert row(told.lines, "warm") == ["100", "50.0", "95.0", "99.0"]


def test_many_kinds_of_errors_are_cut_but_counted() -> None:
    failed = [sample("cold", 1.0, error=f"kind {number}") for number in range(30)]
    told = report([*whole_run(), *failed], seconds=10.0)
    assert told.complaints == ("30 errors",) and told.lines[-1] == "       and 20 other kinds"


@pytest.mark.parametrize(
    ("user", "wake", "label"),
    [("warm", "", "warm"), ("return", "thaw", "thaw"), ("herd", "cold", "herd")],
)
def test_a_run_that_saw_nothing_of_a_kind_does_not_pass(user: str, wake: str, label: str) -> None:
    left = [s for s in whole_run() if (s.user, s.wake) != (user, wake)]
    (complaint,) = report(left, seconds=10.0).complaints
    assert complaint.startswith(f"not one sample of: {label}")


def test_an_empty_run_fails() -> None:
    assert len(report([], seconds=10.0).complaints) == 5
