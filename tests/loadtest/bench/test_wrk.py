"""What wrk is told and what is read of its answer."""

from pathlib import Path

import pytest

from loadtest.bench.wrk import LOADS, Load, WrkFailed, command, read, script


def test_the_last_line_is_read_whatever_stands_before_it() -> None:
    line = '{"requests":5000,"us":2000000,"p50_us":360,"p99_us":1500,"errors":3}'
    sample = read(f"Running 2s test @ http://127.0.0.1:1/\n  1 threads\n\n{line}\n")
    assert sample.requests_s == 2500
    assert (sample.p50_ms, sample.p99_ms, sample.errors) == (0.36, 1.5, 3)


@pytest.mark.parametrize("output", ["", "unable to connect", '{"requests":1}', "[]", "7"])
def test_an_answer_that_is_none_is_an_error_that_shows_it(output: str) -> None:
    with pytest.raises(WrkFailed, match="nothing that can be read"):
        read(output)


def test_fields_and_load_are_on_the_command_line() -> None:
    load = Load(name="x", path="/16k", connections=7)
    words = command(load, 81, {"Host": "a.b"}, 2.0, Path("/s.lua"))
    assert words[:4] == ["wrk", "-t1", "-c7", "-d2s"]
    assert words[-3:] == ["-H", "Host: a.b", "http://127.0.0.1:81/16k"]


def test_wrk_takes_whole_seconds_and_at_least_one() -> None:
    assert "-d1s" in command(LOADS[0], 1, {}, 0.2, Path("s"))


def test_only_a_post_sets_up_requests_so_that_wrk_stays_fast_for_the_others() -> None:
    for load in LOADS:
        assert ("wrk.body" in script(load)) is load.is_post
