"""Failpoints: nothing unless armed, once when armed. What holds when they strike: tests/chaos."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.failpoints import Point, arm, reach

COMES = """
import sys
from pathlib import Path
from lifecycle.failpoints import Point, arm, reach
arm(Path(sys.argv[1]))
reach(Point.WAKE_BEGIN)
reach(Point.WAKE_READY)
"""


def comes(directory: Path) -> int:
    return subprocess.run([sys.executable, "-c", COMES, str(directory)], check=False).returncode


def test_unarmed_points_are_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / Point.WAKE_BEGIN).write_text("kill")
    arm(None)
    reach(Point.WAKE_BEGIN)
    assert (tmp_path / Point.WAKE_BEGIN).exists()


def test_an_armed_point_kills_the_first_who_comes_and_nobody_after(tmp_path: Path) -> None:
    assert comes(tmp_path) == 0
    (tmp_path / Point.WAKE_READY).write_text("kill")
    assert comes(tmp_path) == -signal.SIGKILL
    assert (tmp_path / f"{Point.WAKE_READY}.hit").exists()
    assert comes(tmp_path) == 0


def test_what_is_not_understood_does_nothing(tmp_path: Path) -> None:
    (tmp_path / Point.WAKE_BEGIN).write_text("explode")
    assert comes(tmp_path) == 0
