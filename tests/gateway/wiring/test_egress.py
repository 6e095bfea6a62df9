"""A worker's egress as it is put together; that programs get out by it is tests/system's."""

import stat
from pathlib import Path

import pytest

from gateway.settings import BadSettings, Settings
from gateway.wiring.egress import EgressPart
from tests.gateway.wiring.starting import settings_of

DOCUMENT = """
binds:
- port: 443
  mode: internal
  listeners: [{protocol: HTTPS, tls: {mode: dynamicCa}, routes: []}]
"""


def _settings(tmp_path: Path, document: str = DOCUMENT) -> Settings:
    (tmp_path / "e.yaml").write_text(document)
    policies = {"default": str(tmp_path / "e.yaml")}
    return settings_of("up", tmp_path, None, egress__policies=policies)


def _made(settings: Settings) -> EgressPart:
    part = EgressPart(settings, None)
    part.close_socket()
    return part


def test_what_is_secret_is_for_the_worker_alone(tmp_path: Path) -> None:
    _made(_settings(tmp_path))
    home = tmp_path / "egress"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name in ("ca.key", "token.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert b"BEGIN CERTIFICATE" in (home / "public" / "ca.pem").read_bytes()


def test_a_restarted_worker_is_the_same_to_what_survived_it(tmp_path: Path) -> None:
    first, second = _made(_settings(tmp_path)), _made(_settings(tmp_path))
    assert first.address == second.address
    assert first.token_of("rouse-a-1") == second.token_of("rouse-a-1")


def test_nobody_is_known_by_a_token_alone(tmp_path: Path) -> None:
    part = _made(_settings(tmp_path))
    assert part.by_token(part.token_of("rouse-a-1")) is None


def test_a_document_that_can_not_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"e\.yaml: ui: not supported by rouse"):
        EgressPart(_settings(tmp_path, "ui: {}"), None)


@pytest.mark.parametrize("listen", ["0.0.0.0:3128", "unix:/x", "10.0.0.1:1"])
def test_only_this_machines_actors_may_come(tmp_path: Path, listen: str) -> None:
    with pytest.raises(BadSettings, match=r"egress\.listen"):
        settings_of("up", tmp_path, None, egress__listen=listen)
