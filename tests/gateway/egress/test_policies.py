"""Documents in force: hot reload, and a bad one that changes nothing."""

import logging
from pathlib import Path

import pytest

from gateway.egress.certs import make_authority
from gateway.egress.config.values import Source
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.policies import Policies, found_in
from tests.gateway.egress.documents import document

GOOD = "binds: [{port: 443, mode: internal, listeners: []}]\n"


def _policies(tmp_path: Path) -> tuple[Policies, Path]:
    ours = (tmp_path / "c", tmp_path / "k")
    make_authority(*ours)
    path = tmp_path / "e.yaml"
    path.write_text(GOOD)
    made = Policies({"default": path}, Secrets({}, fetch), environ={}, ours=ours)
    made.load()
    return made, path


async def test_a_changed_document_is_taken_over(tmp_path: Path) -> None:
    policies, path = _policies(tmp_path)
    assert not await policies.look()
    path.write_text(GOOD.replace("443", "8443"))
    assert await policies.look()
    policy = policies.of("default")
    assert policy is not None and policy.document.binds[0].port == 8443


@pytest.mark.parametrize("bad", ["ui: {}", "{", "rouse: {credentials: [{name: a, hosts: [a.com], "
                                 "from: {file: /no/such/file}}]}"])  # fmt: skip
async def test_a_bad_one_keeps_the_old_one_and_says_so_once(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    policies, path = _policies(tmp_path)
    before = policies.of("default")
    path.write_text(bad)
    with caplog.at_level(logging.ERROR):
        assert not await policies.look()
        assert not await policies.look()
    assert policies.of("default") is before and len(caplog.records) == 1
    path.write_text(GOOD.replace("443", "80"))
    assert await policies.look()


async def test_a_document_that_vanished_stays_in_force(tmp_path: Path) -> None:
    policies, path = _policies(tmp_path)
    path.unlink()
    assert not await policies.look() and policies.of("default") is not None


def test_what_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    made = Policies(
        {"a": tmp_path / "x"}, Secrets({}, fetch), environ={}, ours=(tmp_path, tmp_path)
    )
    with pytest.raises(ValueError, match=r"^policy a: .*/x: No such file"):
        made.load()


def test_a_secret_that_is_not_there_is_told_with_its_policy(tmp_path: Path) -> None:
    path, ours = tmp_path / "e.yaml", (tmp_path / "c", tmp_path / "k")
    make_authority(*ours)
    key = f"{{backendAuth: {{key: {{file: {tmp_path}/openai}}}}}}"
    route = f"{{backends: [{{host: 'llm.test:443', policies: {key}}}]}}"
    path.write_text(f"binds: [{{mode: internal, listeners: [{{name: all, routes: [{route}]}}]}}]")
    made = Policies({"llm": path}, Secrets({}, fetch), environ={}, ours=ours)
    with pytest.raises(ValueError, match=r"^policy llm: .*/openai: No such file"):
        made.load()
    assert made.of("a") is None


def test_every_secret_of_a_document_is_found() -> None:
    made = document(
        "rouse: {credentials: [{name: a, hosts: [a.com], from: {oauth2: {tokenUrl: "
        "'https://t/', clientId: c, clientSecret: {file: /s}}}}]}"
    )
    assert {str(each.file) for each in found_in(made, Source) if each.file} == {"/s"}


def test_the_level_of_our_log_is_the_most_talkative_documents(tmp_path: Path) -> None:
    log = logging.getLogger("gateway.egress")
    before, ours = log.level, (tmp_path / "c", tmp_path / "k")
    make_authority(*ours)
    files = {}
    for name, level in (("a", "error"), ("b", "debug")):
        files[name] = tmp_path / name
        files[name].write_text(f"config: {{logging: {{level: {level}}}}}")
    try:
        Policies(files, Secrets({}, fetch), environ={}, ours=ours).load()
        assert log.level == logging.DEBUG
    finally:
        log.setLevel(before)
