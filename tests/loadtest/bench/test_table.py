"""Medians, ratios and how they are printed."""

from loadtest.bench.table import (
    YARDSTICK,
    Series,
    aligned,
    complaints,
    markdown,
    p99_ratio,
    rows,
    speed_ratio,
)
from loadtest.bench.wrk import Sample


def series(*speeds: float, p99_ms: float = 1.0, errors: int = 0) -> Series:
    samples = [Sample(requests_s=s, p50_ms=0.5, p99_ms=p99_ms, errors=errors) for s in speeds]
    return Series(samples=samples, memory_mb=12.3)


def test_a_round_that_was_slow_for_all_changes_no_ratio() -> None:
    ours, theirs = series(800, 80, 800), series(1000, 100, 1000)
    assert speed_ratio(ours, theirs) == 0.8
    assert p99_ratio(series(1, p99_ms=3.0), series(1, p99_ms=1.5)) == 2.0


def test_one_odd_round_does_not_move_the_median() -> None:
    assert series(1000, 1010, 5).requests_s() == 1000


def test_the_table_compares_everybody_with_haproxy() -> None:
    table = rows({YARDSTICK: series(1000), "rouse": series(900), "not run": Series()})
    assert table[0][0] == "side" and len(table) == 3
    assert table[2] == ["rouse", "900", "0.50", "1.00", "12", "0.90x", "1.00x"]


def test_without_haproxy_there_are_no_ratios() -> None:
    assert rows({"rouse": series(900)})[1][-2:] == ["-", "-"]


def test_failed_requests_are_told_by_side_and_load() -> None:
    made = {"small": {"a": series(1, 1, errors=2), "b": series(1)}}
    assert complaints(made) == ["a: 4 failed requests under small"]


def test_tables_are_printed_for_a_page_and_for_a_terminal() -> None:
    table = [["side", "req/s"], ["a longer name", "7"]]
    assert markdown(table).splitlines() == [
        "| side | req/s |",
        "|---|---:|",
        "| a longer name | 7 |",
    ]
    assert aligned(table).splitlines() == ["side           req/s", "a longer name      7"]
