"""The roles' command lines: settings in, one sentence or a start out. Starts are system tests."""

from pathlib import Path

import pytest

from gateway.main import main

REDIS = "redis://:secret-password@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ROUSE_ADMIN_URL", "ROUSE_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_check_says_that_settings_are_good(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["up", "--check"]) == 0
    assert capsys.readouterr().out.startswith("up: settings are good")
    monkeypatch.setenv("ROUSE_SNAPSHOTS_KEY_FILE", "/etc/rouse/snapshot.key")
    monkeypatch.setenv("ROUSE_SNAPSHOTS_URL", "s3://bucket/prefix")
    for role in ("gateway", "worker"):
        assert main([role, "--check", "--redis-url", REDIS]) == 0
        assert "secret-password" not in capsys.readouterr().out


def test_options_become_settings(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--listen 127.0.0.1:0 --admin 127.0.0.1:0 --runtime process --slots 3 --id w1"
    assert main(["up", "--check", "--data", "/srv/r", *options.split()]) == 0
    assert "data in /srv/r" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["up", "--check", "--listen", "8080"], "the command line: edge.listen: '8080' is no addr"),
        (["up", "--check", "--admin", "0.0.0.0:8081"], "admin.listen 0.0.0.0:8081 can be reached"),
        (["up", "--check", "--runtime", "docker"], "worker.runtime: invalid enum value 'docker'"),
        (["up", "--check", "--slots", "0"], "worker.slots: 0 is not between"),
        (["up", "--once"], "--once ends after the tour: give --demo too"),
        (["up", "--config", "/none.yaml"], "/none.yaml: No such file"),
        (["gateway", "--check"], "redis.url: a private server is for `rouse up`"),
        (["worker", "--check"], "redis.url: a private server is for `rouse up`"),
    ],
)
def test_wrong_settings_end_with_2_before_anything_starts(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert message in capsys.readouterr().err


def test_the_controller_says_that_it_is_for_kubernetes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["controller"]) == 1
    assert "comes with Kubernetes" in capsys.readouterr().err


def test_worker_is_a_role_and_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--slots" in shown and "drain" in shown
    assert main(["worker", "list", "--admin-url", "http://127.0.0.1:1"]) == 1
    assert "start one with `rouse up`" in capsys.readouterr().err
