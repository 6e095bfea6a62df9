"""The command's options and its page; the measuring itself is shown by test_sides."""

import argparse

import pytest

from loadtest.bench import table
from loadtest.bench.__main__ import arguments, told
from loadtest.bench.sides import missing_tools
from loadtest.bench.table import Series
from loadtest.bench.wrk import Sample


def test_a_run_without_options_measures_everything() -> None:
    options = arguments([])
    assert options.only is None and options.load is None and not options.dry


def test_a_side_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SystemExit):
        arguments(["--only", "caddy"])


@pytest.mark.skipif(bool(missing_tools()), reason="needs the tools whose versions it tells")
def test_the_page_has_a_table_per_load_and_says_how_it_was_measured() -> None:
    sample = Sample(requests_s=100, p50_ms=1, p99_ms=2)
    made = {"small": {table.YARDSTICK: Series(samples=[sample])}}
    idle = [["side", "connections"], ["rouse", "10"]]
    page = told(made, idle, argparse.Namespace(repeats=3, seconds=2.0))
    assert "median of 3 rounds of 2 s" in page and "haproxy 2" in page
    assert "### small\n\n| side |" in page and page.endswith("| rouse | 10 |")
