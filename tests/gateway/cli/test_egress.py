"""`rouse egress` as a shell runs it; what documents may hold is gateway.egress.config's to test."""

from pathlib import Path

import pytest

from gateway.cli import worker
from gateway.cli.app import make_app, run
from gateway.egress.audit import Audit, Line
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


def _run(*words: str) -> int:
    return run(make_app(worker.group()), ["egress", *words])


def test_a_call_is_explained_without_being_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    (tmp_path / "e.yaml").write_text(FACTS)
    asked = ("-f", str(tmp_path / "e.yaml"), "--actor", "demo/c1")
    assert _run("check", *asked, "https://api.github.com/repos/a") == 0
    out = capsys.readouterr().out
    assert "route read-repos" in out and "allowed: yes" in out and "ghp_secret" not in out
    assert _run("check", *asked, "https://evil.com/") == 1
    assert "allowed: no" in capsys.readouterr().out
    assert _run("check", *asked[:3], "c1", "https://evil.com/") == 2


def test_the_log_is_shown_by_actor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = Audit(tmp_path / "egress" / "egress.log")
    (tmp_path / "egress").mkdir()
    for actor, decision in (("demo/c1", "allow"), ("demo/c1", "deny"), ("demo/c2", "deny")):
        log.note(Line(at="t", actor=actor, decision=decision, way="", method="GET", to="h:443"))
    log.flush()
    assert _run("log", "--data", str(tmp_path), "--actor", "demo/c1", "--denied") == 0
    assert capsys.readouterr().out == "t demo/c1 deny 0 GET h:443  \n"
    assert _run("log", "--data", str(tmp_path / "none")) == 1


KEYED = """binds:
- port: 8080
  listeners:
  - routes:
    - policies: {apiKey: {keys: [{key: sk-a, metadata: {team: red}}]},
        authorization: {rules: ['json(request.body).ok']}, retry: {attempts: 2, codes: [503]}}
      backends: [{host: "h.test:80"}]
"""


def test_what_lets_strangers_pass_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yaml").write_text(KEYED)
    assert _validate(tmp_path / "e.yaml") == 0
    out = capsys.readouterr().out
    assert "warning: binds[0].listeners[0].routes[0].policies.apiKey: mode optional" in out


def test_a_call_is_explained_with_its_fields_and_body(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "e.yaml").write_text(KEYED)
    asked = ("-f", str(tmp_path / "e.yaml"), "--actor", "demo/c1", "http://egress.internal/")
    fields = ("-H", "Authorization: Bearer sk-a", "-d", '{"ok": true}')
    assert _run("check", *asked, *fields) == 0
    out = capsys.readouterr().out
    assert "caller is known by apiKey: team" in out and "tried 3 times, on 503" in out
    assert "sk-a" not in out
    assert _run("check", *asked, "-H", "Authorization: Bearer no", "-d", "{}") == 1
    assert "invalid credentials" in capsys.readouterr().out
    assert _run("check", *asked, "-d", '{"ok": false}') == 1
    assert _run("check", *asked, "-H", "nonsense") == 2
