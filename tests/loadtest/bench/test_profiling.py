"""The profile: what is launched, and how it is told."""

import cProfile
import subprocess
from pathlib import Path

from loadtest.bench.profiling import launcher, told
from loadtest.bench.wrk import Sample


def test_the_launcher_is_the_command_rouse(tmp_path: Path) -> None:
    path = launcher(tmp_path, tmp_path / "profile")
    done = subprocess.run([path, "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert "worker" in done.stdout and "gateway" in done.stdout


def test_functions_are_told_per_request_the_dearest_first(tmp_path: Path) -> None:
    profile = cProfile.Profile()

    def dear() -> int:
        return sum(range(20_000))

    with profile:
        for _ in range(10):
            dear()
    profile.dump_stats(tmp_path / "profile")
    sample = Sample(requests_s=5, p50_ms=1, p99_ms=1)
    lines = told(tmp_path / "profile", sample, requests=10, count=2).splitlines()
    assert lines[0].startswith("10 requests while profiled (5/s), ")
    assert len(lines) == 4 and "sum" in lines[2] and " 1.00 " in lines[2]
