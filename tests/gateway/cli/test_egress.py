"""`rouse egress` as a shell runs it; what documents may hold is gateway.egress.config's to test."""

from pathlib import Path

import pytest

from gateway.cli import worker
from gateway.cli.app import make_app, run
from tests.gateway.egress.documents import FACTS


def _validate(path: Path) -> int:
    return run(make_app(worker.group()), ["egress", "validate", str(path)])


def test_a_good_document_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    (tmp_path / "e.yaml").write_text(FACTS)
    assert _validate(tmp_path / "e.yaml") == 0
    out = capsys.readouterr().out
    assert "good (1 listeners, 2 routes" in out and "ghp_secret" not in out


def test_a_bad_one_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "e.yaml").write_text("binds: []\nui: {}\n")
    assert _validate(tmp_path / "e.yaml") == 1
    assert "ui: not supported by rouse" in capsys.readouterr().err


def test_a_missing_one_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _validate(tmp_path / "e.yaml") == 1
    assert "No such file" in capsys.readouterr().err
