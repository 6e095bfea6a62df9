"""The sides, started for real where their programs are here, and the cores they run on."""

import os
import sys
from pathlib import Path

import pytest

from loadtest.bench import sides
from loadtest.bench.sides import SideFailed, Sides, first_answer, on_core, resident_mb
from loadtest.bench.wrk import LOADS, measure
from loadtest.product import ProductFailed, compiled

needs_tools = pytest.mark.skipif(
    sys.platform != "linux" or bool(sides.missing_tools()),
    reason=f"needs {', '.join(sides.missing_tools())}: make tools",
)
needs_two_cores = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs two cores"
)


@needs_two_cores
def test_what_is_started_on_a_core_stays_there() -> None:
    before = os.sched_getaffinity(0)
    with on_core(1):
        assert os.sched_getaffinity(0) == {1}
    assert os.sched_getaffinity(0) == before


@needs_tools
@needs_two_cores
@pytest.mark.parametrize(
    "name",
    [
        *("none", "haproxy", "nginx", "aiohttp", "rouse", "rouse-pure"),
        *("haproxy-tls", "nginx-tls", "rouse-tls"),
    ],
)
def test_each_side_answers_from_the_same_backend(name: str, tmp_path: Path) -> None:
    if name in ("rouse", "rouse-tls") and os.environ.get("CI") != "true":
        try:
            compiled()
        except ProductFailed as missing:
            pytest.skip(str(missing))
    with Sides(tmp_path / "sides") as started:
        side = started.start(name)
        assert side is not None
        first_answer(side)
        if side.pids:
            assert resident_mb(side.pids) > 1
            assert all(os.sched_getaffinity(pid) == {0} for pid in side.pids)


@needs_tools
@needs_two_cores
def test_wrk_measures_a_side_without_a_failed_request(tmp_path: Path) -> None:
    with Sides(tmp_path / "sides") as started:
        side = started.start("none")
        assert side is not None
        sample = measure(LOADS[0], side.port, side.fields, 1, tmp_path)
        assert sample.errors == 0 and sample.requests_s > 0


@needs_tools
@needs_two_cores
def test_the_router_is_left_out_until_somebody_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sides.ROUTER, raising=False)
    with Sides(tmp_path / "sides") as started:
        assert started.start("router") is None
        monkeypatch.setenv(sides.ROUTER, f"{sys.executable} -c 'raise SystemExit(\"no {{port}}\")'")
        with pytest.raises(SideFailed, match=r"ended: no \d+"):
            started.start("router")


def test_a_tool_that_is_not_here_is_named() -> None:
    with pytest.raises(SideFailed, match="no-such-tool is not installed"):
        sides.tool("no-such-tool")
