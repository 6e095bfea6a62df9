"""Callers, end to end: who shows what passes, in which mode, and what of it goes no further."""

import base64
import hashlib
from pathlib import Path

import pytest

from tests.gateway.egress.callers.issuing import Issuer
from tests.gateway.egress.world import behind, origin, running, send

KEYS = """apiKey: {mode: %s, keys: [{key: sk-a, metadata: {team: red}},
  {keyHash: "sha256:%s"}]}, transformations: {request: {set: {x-team: apiKey.team}}}"""
DIGEST = hashlib.sha256(b"sk-b").hexdigest()
HTPASSWD = "ann:$$apr1$$55ccMn2Y$$fJd2L/3rE76LeV2kFJrQD1\\nbob:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM="
"""Both have the password `pw`; a dollar is written twice in a document."""


def _basic(pair: str) -> str:
    return f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.parametrize(
    ("mode", "shown", "status", "words"),
    [
        ("strict", "", 401, b"api key authentication failure: no API Key found\n"),
        ("strict", "Bearer sk-x", 401, b"api key authentication failure: invalid credentials\n"),
        ("strict", "Bearer sk-a", 200, b"ok"),
        ("strict", "bearer sk-b", 200, b"ok"),
        ("strict", "Basic sk-a", 401, b"api key"),
        ("optional", "", 200, b"ok"),
        ("optional", "Bearer sk-x", 401, b"api key"),
        ("permissive", "Bearer sk-x", 200, b"ok"),
    ],
)
async def test_api_keys(tmp_path: Path, mode: str, shown: str, status: int, words: bytes) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, KEYS % (mode, DIGEST))) as world:
            fields = [f"Authorization: {shown}"] if shown else []
            got, _head, body = await send(world, "GET", "/", *fields)
            assert (got, body.startswith(words)) == (status, True), body
            if status == 200 and "sk-x" not in shown:
                assert out.header("authorization") is None
            if "sk-a" in shown and status == 200:
                assert out.header("x-team") == "red"
            assert "sk-a" not in repr(world.lines) and b"sk-x" not in body


async def test_a_key_may_stand_in_the_query_or_a_cookie_and_is_taken_out(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        rules = "apiKey: {mode: strict, keys: [{key: k1}], location: {queryParameter: {name: key}}}"
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "GET", "/a?x=1&key=k1&y=2"))[0] == 200
            assert out.seen[-1].startswith(b"GET /a?x=1&y=2 ")
        rules = "apiKey: {mode: strict, keys: [{key: k1}], location: {cookie: {name: key}}}"
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "GET", "/", "Cookie: a=1; key=k1; b=2"))[0] == 200
            assert out.header("cookie") == "a=1; b=2"


@pytest.mark.parametrize("user", ["ann", "bob"])
async def test_passwords(tmp_path: Path, user: str) -> None:
    rules = f'basicAuth: {{mode: strict, realm: Here, htpasswd: "{HTPASSWD}"}}, '
    rules += "transformations: {request: {set: {x-user: basicAuth.username}}}"
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:
            status, head, body = await send(world, "GET", "/")
            assert status == 401 and b'www-authenticate: Basic realm="Here"\r\n' in head
            assert body.startswith(
                b"basic authentication failure: no basic authentication credentials found\n"
            )
            status, _head, body = await send(world, "GET", "/", _basic(f"{user}:no"))
            assert status == 401
            assert body.startswith(b"basic authentication failure: invalid credentials\n")
            for _ in range(2):  # the second time it is known
                assert (await send(world, "GET", "/", _basic(f"{user}:pw")))[0] == 200
                assert out.header("x-user") == user and out.header("authorization") is None


async def test_a_changed_htpasswd_file_is_taken_over(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("ann:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n")
    rules = f"basicAuth: {{mode: strict, htpasswd: {{file: {users}}}}}"
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "GET", "/", _basic("ann:pw")))[0] == 200
            users.write_text("zoe:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=\n")
            world.proxy.parts.secrets.look()
            assert (await send(world, "GET", "/", _basic("ann:pw")))[0] == 401
            assert (await send(world, "GET", "/", _basic("zoe:pw")))[0] == 200


async def test_tokens(tmp_path: Path) -> None:
    issuer = Issuer("https://i.test")
    rules = f"""jwtAuth: {{mode: strict, issuer: "https://i.test", audiences: [me],
        jwks: '{issuer.jwks}'}}, authorization: {{rules: ['jwt.sub == "ann"']}},
        transformations: {{request: {{set: {{x-sub: jwt.sub}}}}}}"""
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:

            async def ask(token: str | None) -> tuple[int, bytes]:
                fields = [] if token is None else [f"Authorization: Bearer {token}"]
                status, _head, body = await send(world, "GET", "/", *fields)
                return status, body

            assert await ask(issuer.token(sub="ann")) == (200, b"ok")
            assert out.header("x-sub") == "ann" and out.header("authorization") is None
            status, body = await ask(None)
            assert (status, body.partition(b"\n")[0]) == (
                401, b"authentication failure: no bearer token found")  # fmt: skip
            for bad in (
                issuer.token(sub="ann", aud="other"),
                issuer.token(sub="ann", exp=1),
                issuer.token(sub="ann", iss="https://other.test"),
                Issuer("https://i.test").token(sub="ann"),
                "no.token.atall",
                "x",
            ):
                status, body = await ask(bad)
                assert status == 401 and body.startswith(b"authentication failure: "), bad
                assert bad.encode() not in body
            status, body = await ask(issuer.token(sub="bob"))
            assert status == 403 and body.startswith(b"authorization failed\n")
            assert len(out.seen) == 1


async def test_a_token_that_was_found_good_may_be_passed_on(tmp_path: Path) -> None:
    """`passthrough` puts back what was shown, checked and taken out; what was not, it does not."""
    issuer = Issuer("https://i.test")
    rules = f"""jwtAuth: {{mode: permissive, issuer: "https://i.test", jwks: '{issuer.jwks}'}},
        backendAuth: {{passthrough: {{location: {{header: {{name: x-token}}}}}}}}"""
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:
            token = issuer.token(sub="ann")
            await send(world, "GET", "/", f"Authorization: Bearer {token}")
            assert out.header("x-token") == token and out.header("authorization") is None
            await send(world, "GET", "/", "Authorization: Bearer forged.by.me")
            assert out.header("x-token") is None


async def test_keys_of_an_issuer_are_fetched_once_and_before_the_first_token(
    tmp_path: Path,
) -> None:
    issuer = Issuer("https://i.test")

    def jwks(_head: bytes, _body: bytes) -> bytes:
        text = issuer.jwks.encode()
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(text), text)

    async with origin(tmp_path, tls=False) as out, origin(tmp_path, jwks, tls=False) as keys:
        rules = f"""jwtAuth: {{mode: strict, providers: [{{issuer: "https://i.test",
            jwks: {{url: "http://127.0.0.1:{keys.port}/jwks"}}}}]}}"""
        async with running(tmp_path, behind(out.port, rules)) as world:
            for _ in range(3):
                field = f"Authorization: Bearer {issuer.token(sub='ann')}"
                assert (await send(world, "GET", "/", field))[0] == 200
            assert len(keys.seen) == 1


async def test_without_the_issuers_keys_nobody_passes(tmp_path: Path) -> None:
    def away(_head: bytes, _body: bytes) -> bytes:
        return b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"

    async with origin(tmp_path, tls=False) as out, origin(tmp_path, away, tls=False) as keys:
        rules = f"""jwtAuth: {{mode: strict, issuer: "https://i.test",
            jwks: {{url: "http://127.0.0.1:{keys.port}/"}}}}"""
        async with running(tmp_path, behind(out.port, rules)) as world:
            field = f"Authorization: Bearer {Issuer('https://i.test').token(sub='ann')}"
            status, _head, body = await send(world, "GET", "/", field)
            assert status == 503 and body.startswith(b"processing failed") and not out.seen


async def test_policies_of_a_gateway_hold_for_its_listeners_and_rules_add_up(
    tmp_path: Path,
) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = f"""
gateways:
  default:
    port: 8080
    apiKey: {{mode: strict, keys: [{{key: sk-a, metadata: {{team: red}}}}]}}
    authorization: {{rules: [{{deny: 'request.path == "/no"'}}]}}
routes:
- policies: {{authorization: {{rules: ['apiKey.team == "red"']}}}}
  backends: [{{host: "127.0.0.1:{out.port}"}}]
"""
        async with running(tmp_path, text) as world:
            assert (await send(world, "GET", "/"))[0] == 401
            assert (await send(world, "GET", "/", "Authorization: Bearer sk-a"))[0] == 200
            assert (await send(world, "GET", "/no", "Authorization: Bearer sk-a"))[0] == 403


async def test_passwords_may_stand_in_another_field(tmp_path: Path) -> None:
    rules = f'basicAuth: {{mode: strict, htpasswd: "{HTPASSWD}", authorizationLocation: '
    rules += '{header: {name: x-user, prefix: "Basic "}}}'
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:
            shown = _basic("ann:pw").replace("Authorization", "X-User")
            assert (await send(world, "GET", "/", shown, "Authorization: mine"))[0] == 200
            assert out.header("x-user") is None and out.header("authorization") == "mine"


async def test_keys_of_an_issuer_may_be_a_file_that_changes(tmp_path: Path) -> None:
    one, two = Issuer("https://i.test"), Issuer("https://i.test")
    keys = tmp_path / "jwks"
    keys.write_text(one.jwks)
    rules = f'jwtAuth: {{mode: strict, issuer: "https://i.test", jwks: {{file: "{keys}"}}}}'
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, rules)) as world:

            async def ask(issuer: Issuer) -> int:
                field = f"Authorization: Bearer {issuer.token(sub='a')}"
                return (await send(world, "GET", "/", field))[0]

            assert [await ask(one), await ask(two)] == [200, 401]
            keys.write_text(two.jwks + " ")
            world.proxy.parts.secrets.look()
            assert [await ask(one), await ask(two)] == [401, 200]
            keys.write_text("broken")
            world.proxy.parts.secrets.look()
            assert await ask(two) == 200
