"""Calls that cannot hang, on programs that try to."""

import os
import time
from pathlib import Path

import pytest

from runtimes import runsc
from runtimes.base import RuntimeFailure


def script(tmp_path: Path, text: str) -> Path:
    made = tmp_path / "runsc"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


def test_a_call_that_hangs_and_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    program = script(tmp_path, "trap '' TERM; while :; do sleep 1; done")
    began = time.monotonic()
    with pytest.raises(RuntimeFailure, match="did not end"):
        runsc.ask([program, "list"], limit_s=0.3)
    assert time.monotonic() - began < 5


def test_a_child_that_lives_on_holds_nobody(tmp_path: Path) -> None:
    # It inherits stdout; with a pipe the caller would wait for it.
    program = script(tmp_path, "sleep 5 & echo done")
    began = time.monotonic()
    assert runsc.ask([program, "create"]) == "done"
    assert time.monotonic() - began < 4


def test_what_it_says_of_a_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="create: no such bundle"):
        runsc.ask([script(tmp_path, "echo no such bundle; exit 1"), "create"])


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="nowhere"):
        runsc.ask([tmp_path / "nowhere", "list"])


def test_the_last_complaint_of_its_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"msg":"first","level":"error"}\n{"msg":"fine","level":"info"}\nnot json\n')
    assert runsc.last_error(log) == "first"
    assert runsc.last_error(tmp_path / "none") == ""


def test_the_one_that_was_built_is_found_before_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUSE_TOOLS", str(tmp_path))
    monkeypatch.setenv("PATH", str(script(tmp_path, "").parent))
    assert runsc.find() == tmp_path / "runsc"
    (tmp_path / "runsc").unlink()
    built = tmp_path / "runsc" / runsc.KNOWN
    built.mkdir(parents=True)
    script(built, "")
    assert runsc.find() == built / "runsc"


def test_the_version_is_the_one_that_is_built() -> None:
    text = (Path(__file__).parents[2] / "scripts" / "install-runsc").read_text()
    assert f"VERSION={runsc.KNOWN}\n" in text and os.access("scripts/install-runsc", os.X_OK)
