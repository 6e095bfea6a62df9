"""The entry: settings become a gatekeeper, and changed files change who comes in."""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ingress.codec.request import scan_request
from gateway.ingress.naming import EdgeNaming, Place
from gateway.ingress.seams import Refusal
from gateway.settings import BadSettings, Settings, load
from gateway.wiring.backbone import Keys
from gateway.wiring.entry import Entry, minter
from placement.model import ActorId
from tests.gateway.ingress.auth.signing import key_set, token
from tests.gateway.ingress.auth.test_provider import published
from tests.gateway.ingress.support import SCALE

SHARED = "correct-horse-battery-staple"
STATIC = "static-token-0123456789-0123456789"
NO_KEYS = Keys.of(None)

Made = Callable[..., Settings]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(text: str, role: str = "up") -> Settings:
        file = tmp_path / "rouse.yaml"
        file.write_text(text.format(dir=tmp_path))
        environ = {"HOME": str(tmp_path), "ROUSE_DATA_DIR": str(tmp_path)}
        if role != "up":
            environ["ROUSE_REDIS_URL"] = "redis://127.0.0.1"
            environ["ROUSE_SNAPSHOTS_URL"] = "file:///srv/snapshots"
            environ["ROUSE_SNAPSHOTS_KEY_FILE"] = "/etc/rouse/snapshot.key"
        return load("worker" if role == "worker" else "up", file, environ, {})

    return make


def answer(entry: Entry, credential: str | bytes) -> str:
    """`in`, or the reason why not."""
    text = credential if isinstance(credential, bytes) else credential.encode()
    head = scan_request(
        b"GET / HTTP/1.1\r\nHost: a1.demo.actors.localhost\r\nAuthorization: Bearer %b\r\n\r\n"
        % text
    )
    assert head is not None and entry.gatekeeper is not None
    place = EdgeNaming().name(head.target, head.fields)
    assert isinstance(place, Place)
    try:
        entry.gatekeeper.admit(head, place)
    except Refusal as refusal:
        return refusal.reason.value
    return "in"


def look(entry: Entry) -> None:
    for _name, watched in entry._watched:
        watched.look()


def test_by_default_there_is_no_gatekeeper(made: Made) -> None:
    entry = Entry(made(""), NO_KEYS)
    assert entry.gatekeeper is None and entry.parts() == []


def test_what_the_api_mints_opens_the_edge(made: Made, tmp_path: Path) -> None:
    settings = made("edge: {{auth: {{accept: [actor]}}}}")
    for keys in (NO_KEYS, Keys.of(SHARED)):
        mint = minter(settings, keys)
        assert mint is not None
        own, other = (mint().mint(ActorId("demo", name), expires=2**38) for name in ("a1", "a2"))
        entry = Entry(settings, keys)
        assert [answer(entry, own), answer(entry, other)] == ["in", "forbidden"]
        assert answer(entry, "x") == "unauthenticated"
    assert oct((tmp_path / "actor-token.key").stat().st_mode)[-3:] == "600"


def test_a_worker_apart_mints_nothing_that_no_gateway_knows(made: Made) -> None:
    settings = made("", role="worker")
    assert minter(settings, NO_KEYS) is None
    assert minter(settings, Keys.of(SHARED)) is not None


def test_keys_of_actor_tokens_are_changed_in_turn_while_it_runs(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old " + "1" * 32)
    settings = made("edge: {{auth: {{accept: [actor], actor_keys_file: {dir}/keys}}}}")
    mint = minter(settings, NO_KEYS)
    entry = Entry(settings, NO_KEYS)
    assert mint is not None
    old = mint().mint(ActorId("demo", "a1"), expires=2**38)
    assert answer(entry, old) == "in"
    file.write_text("new " + "2" * 32 + "\nold " + "1" * 32)
    look(entry)
    new = mint().mint(ActorId("demo", "a1"), expires=2**38)
    assert new.startswith("rouse1.new.") and [answer(entry, old), answer(entry, new)] == ["in"] * 2
    file.write_text("new " + "2" * 32)
    look(entry)
    assert [answer(entry, old), answer(entry, new)] == ["unauthenticated", "in"]


def test_a_token_taken_out_of_its_file_opens_nothing_more(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"ann sha256:{hashlib.sha256(STATIC.encode()).hexdigest()} demo\n")
    entry = Entry(made("edge: {{auth: {{accept: [token], tokens_file: {dir}/tokens}}}}"), NO_KEYS)
    assert answer(entry, STATIC) == "in"
    file.write_text("ann sha256:half")
    look(entry)
    assert answer(entry, STATIC) == "in"  # a bad new file is not taken over
    file.write_text("# nobody\n")
    look(entry)
    assert answer(entry, STATIC) == "unauthenticated"


def test_jwt_keys_rotate_by_their_file(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(key_set("rsa-1"))
    jwt = "jwt_issuer: https://login.example, jwt_audience: rouse, jwks: {dir}/jwks.json"
    entry = Entry(made("edge: {{auth: {{accept: [jwt], " + jwt + "}}}}"), NO_KEYS)
    first, second = token("rsa-1"), token("ec-1")
    assert [answer(entry, each) for each in (first, second)] == ["in", "unauthenticated"]
    file.write_bytes(key_set("ec-1", "ed-1"))
    look(entry)
    assert [answer(entry, each) for each in (first, second)] == ["unauthenticated", "in"]


async def test_jwt_keys_come_by_url_and_who_comes_before_them_is_told_to_wait(made: Made) -> None:
    async with published() as site, asyncio.TaskGroup() as group:
        site.text = key_set("rsa-1")
        jwt = "jwt_issuer: https://login.example, jwt_audience: rouse, jwks: '" + site.url + "'"
        entry = Entry(made("edge: {{auth: {{accept: [jwt], " + jwt + "}}}}"), NO_KEYS)
        assert answer(entry, token("rsa-1")) == "unavailable"
        assert answer(entry, "x" * 40) == "unauthenticated"
        ((_name, run),) = entry.parts()
        running = group.create_task(run())
        async with asyncio.timeout(SCALE):
            while answer(entry, token("rsa-1")) == "unavailable":
                await asyncio.sleep(0.001)
        assert answer(entry, token("rsa-1")) == "in"
        # Fetched a moment ago: an unknown key is nobody's, however often it is asked for.
        assert [answer(entry, token("rsa-2")) for _ in range(3)] == ["unauthenticated"] * 3
        running.cancel()
    assert site.asked == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accept: [token], tokens_file: {dir}/none", "edge.auth.tokens_file .*/none: No such file"),
        ("accept: [token], tokens_file: {dir}/rouse.yaml", "edge.auth.tokens_file .*: line 1"),
        ("accept: [actor], actor_keys_file: {dir}/none", "edge.auth.actor_keys_file .*No such"),
        ("accept: [jwt], jwt_issuer: i, jwt_audience: a, jwks: {dir}/none", "edge.auth.jwks .*No"),
    ],
)
def test_a_file_that_can_not_be_used_stops_the_start_by_name(
    made: Made, text: str, message: str
) -> None:
    with pytest.raises(BadSettings, match=message):
        Entry(made("edge: {{auth: {{" + text + "}}}}"), NO_KEYS)
