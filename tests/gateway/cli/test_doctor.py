"""`rouse doctor` prints what `machine` found, for people and for programs."""

import msgspec
import pytest

from gateway.cli import worker
from gateway.cli.app import make_app, run


def test_a_person_reads_what_is_there_and_whether_it_is_enough(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(make_app(worker.group()), ["doctor"]) == 0
    out = capsys.readouterr().out
    assert "runtime process: " in out and "redis: " in out
    assert out.endswith("`rouse up` can run here.\n")


def test_a_program_reads_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(make_app(worker.group()), ["doctor", "-o", "json"]) == 0
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["ok"] is True
    assert {"check", "verdict", "found", "remedy"} == set(told["checks"][0])
