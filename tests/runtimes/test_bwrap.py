"""The start of one bwrap: the gate, the two pids, and what goes wrong."""

import os
import signal
from pathlib import Path

import pytest

from runtimes import bwrap, procfs
from runtimes.base import RuntimeFailure

BINARY = bwrap.find()
OPTIONS = ["--unshare-user", "--unshare-pid", "--ro-bind", "/usr", "/usr"]
OPTIONS += [
    word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")
]
pytestmark = pytest.mark.skipif(BINARY is None, reason="no bwrap here")


class Start:
    """One launch, what it told us and what it said."""

    def __init__(self, *command: str, options: list[str] | None = None, **env: str) -> None:
        self.begun: list[procfs.Pid] = []
        self.at_gate: list[set[procfs.Pid]] = []
        self.command = command
        self.options = OPTIONS if options is None else options
        self.env = env

    def run(self, account: str = "actor:x:0:0::/:/bin/sh\n") -> tuple[int, str]:
        reading, writing = os.pipe()
        assert BINARY is not None
        try:
            bwrap.launch(
                BINARY,
                self.options,
                self.command,
                env=self.env,
                account=account,
                user_namespace=None,
                output=writing,
                began=self.begun.append,
                at_gate=self.gate,
            )
        finally:
            os.close(writing)
            with open(reading) as file:
                self.said = file.read()
            _, status = os.waitpid(self.begun[0].pid, 0)
        return os.waitstatus_to_exitcode(status), self.said

    def gate(self, pid: int) -> None:
        self.at_gate.append(procfs.family([procfs.identify(pid)]))


def test_nothing_of_the_program_runs_before_the_gate() -> None:
    start = Start("/usr/bin/true")
    assert start.run()[0] == 0
    assert start.at_gate == [{start.begun[1]}]


def test_the_account_is_what_was_given() -> None:
    account = "somebody:x:0:0::/:/bin/sh\n"
    assert Start("/usr/bin/cat", "/etc/passwd").run(account) == (0, account)


def test_the_environment_goes_in_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_SECRET", "x")
    code, said = Start("/usr/bin/env", "--unset=PWD", TOKEN="a=b\nc", LD_DEBUG_OUTPUT="/x").run()
    assert code == 0 and said == "TOKEN=a=b\nc\nLD_DEBUG_OUTPUT=/x\n"


def test_a_gate_that_fails_lets_nothing_run(tmp_path: Path) -> None:
    start = Start("/usr/bin/echo", "ran")

    def refuse(pid: int) -> None:
        raise RuntimeFailure("no limits to be had")

    start.gate = refuse  # type: ignore[method-assign]
    with pytest.raises(RuntimeFailure, match="no limits"):
        start.run()
    assert "ran" not in start.said


def test_options_that_bwrap_refuses_are_a_failure() -> None:
    start = Start("/usr/bin/true", options=["--no-such-option"])
    with pytest.raises(RuntimeFailure, match="could not begin"):
        start.run()
    assert "no-such-option" in start.said


def test_the_status_of_a_signalled_program_is_told_as_a_shell_does() -> None:
    code, _ = Start("/usr/bin/sh", "-c", "kill -TERM $$").run()
    assert code == 128 + signal.SIGTERM
