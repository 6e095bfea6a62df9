"""Starting programs, and blocking pieces that a cancel cannot cut in half."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from runtimes.base import RuntimeFailure
from runtimes.spawn import find_program, in_thread, spawn


def run(*argv: str, cwd: Path | None = None, **env: str) -> tuple[int, str]:
    reading, writing = os.pipe()
    pid = spawn(argv, env={"PATH": "/usr/bin:/bin", **env}, cwd=cwd, output=writing)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said


def test_program_gets_its_environment_and_no_other(tmp_path: Path) -> None:
    assert run("env", cwd=tmp_path, A="1") == (0, "PATH=/usr/bin:/bin\nA=1\n")


def test_program_leads_a_session_in_its_directory(tmp_path: Path) -> None:
    script = 'echo $$ "$(ps -o sid= -p $$)" "$(pwd)"'
    _, said = run("sh", "-c", script, cwd=tmp_path)
    pid, session, where = said.split()
    assert pid == session and where == str(tmp_path)


@pytest.mark.parametrize(
    ("argv", "why"), [(["no-such"], "No such file"), (["/etc/passwd"], "Permission denied")]
)
def test_a_program_that_cannot_run_is_named(argv: list[str], why: str) -> None:
    with pytest.raises(RuntimeFailure, match=f"{argv[0]}.*{why}"):
        run(*argv)


def test_a_missing_working_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"working directory .*/gone is not there"):
        run("true", cwd=tmp_path / "gone")


async def test_a_cancel_waits_for_the_thread_and_then_passes_on() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def piece() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(piece), name="piece")
        while not begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
        await asyncio.wait([task])
    assert task.cancelled() and ended.is_set()


def test_programs_are_found_as_exec_finds_them(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\n")
    assert find_program("mine", str(tmp_path)) is None
    mine.chmod(0o755)
    assert find_program("mine", f"/nowhere:{tmp_path}") == mine
    assert find_program(str(mine), "") == mine
