"""A service's opinion, asked for end to end: what it is shown, what its answer does, and time."""

from pathlib import Path

import pytest

from tests.gateway.egress.world import auth, behind, ok, origin, running, send

Answer = bytes


def _rules(port: int, more: str = "", http: str = "", within: str = "10s") -> str:
    policies = f"policies: {{http: {{requestTimeout: {within}}}}}"
    where = f"host: '127.0.0.1:{port}', protocol: {{http: {{{http}}}}}"
    return f"extAuthz: {{{where}, {policies}, {more}}}"


async def test_what_it_lets_pass_goes_on_with_fields_of_its_answer(tmp_path: Path) -> None:
    def yes(_head: bytes, _body: bytes) -> Answer:
        return ok(b'{"plan": "gold"}', "x-user: ann\r\nx-other: no\r\n")

    http = """path: '"/check" + request.path', includeResponseHeaders: [x-user],
        addRequestHeaders: {x-actor: actor.id, ":method": '"PUT"'},
        metadata: {plan: 'json(response.body).plan'}"""
    more = "includeRequestHeaders: [x-in]"
    rules = _rules(0, more, http) + ", transformations: {request: {set: {x-plan: extauthz.plan}}}"
    async with origin(tmp_path, tls=False) as out, origin(tmp_path, yes, tls=False) as service:
        text = behind(out.port, rules.replace("127.0.0.1:0", f"127.0.0.1:{service.port}"))
        async with running(tmp_path, text) as world:
            fields = ("X-In: 1", "Authorization: Bearer mine", "X-User: forged")
            assert (await send(world, "GET", "/a?b=c", *fields))[0] == 200
            assert service.seen[0].startswith(b"PUT /check/a HTTP/1.1\r\n")
            assert (service.header("x-in"), service.header("x-actor")) == ("1", "demo/c1")
            assert service.header("authorization") is None
            assert service.header("proxy-authorization") is None
            assert (out.header("x-user"), out.header("x-plan")) == ("ann", "gold")
            assert out.header("x-other") is None


async def test_its_refusal_is_the_actors_answer(tmp_path: Path) -> None:
    def no(_head: bytes, _body: bytes) -> Answer:
        return b"HTTP/1.1 418 Tea\r\nx-why: tea\r\ncontent-length: 2\r\n\r\nno"

    async with origin(tmp_path, tls=False) as out, origin(tmp_path, no, tls=False) as service:
        async with running(tmp_path, behind(out.port, _rules(service.port))) as world:
            status, head, body = await send(world, "GET", "/")
            assert (status, body) == (418, b"no") and b"x-why: tea" in head
            assert not out.seen and world.lines[-1].decision == "deny"


async def test_a_refusal_may_become_a_redirect(tmp_path: Path) -> None:
    def no(_head: bytes, _body: bytes) -> Answer:
        return b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"

    async with origin(tmp_path, tls=False) as out, origin(tmp_path, no, tls=False) as service:
        rules = _rules(service.port, http="redirect: '\"https://login.test/?\" + request.path'")
        async with running(tmp_path, behind(out.port, rules)) as world:
            status, head, _body = await send(world, "GET", "/a")
            assert status == 302 and b"location: https://login.test/?/a" in head


@pytest.mark.parametrize(
    ("mode", "status"), [("deny", 403), ("allow", 200), ("{denyWithStatus: 503}", 503)]
)
async def test_a_service_that_does_not_answer(tmp_path: Path, mode: str, status: int) -> None:
    async with origin(tmp_path, tls=False) as out:
        rules = _rules(1, f"failureMode: {mode}", within="1s")
        async with running(tmp_path, behind(out.port, rules)) as world:
            got, _head, body = await send(world, "GET", "/")
            assert got == status
            if status != 200:
                assert body.startswith(b"external authorization failed\n") and not out.seen


@pytest.mark.parametrize(
    ("may_be_cut", "size", "status"),
    [("false", 3, 200), ("false", 30, 413), ("true", 3, 200), ("true", 30, 200)],
)
async def test_it_is_shown_the_body_which_goes_on_as_it_came(
    tmp_path: Path, may_be_cut: str, size: int, status: int
) -> None:
    body = b"x" * size
    async with origin(tmp_path, tls=False) as out, origin(tmp_path, tls=False) as service:
        shown = f"{{maxRequestBytes: 10, allowPartialMessage: {may_be_cut}}}"
        rules = _rules(service.port, f"includeRequestBody: {shown}")
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "POST", "/", body=body))[0] == status
            if status != 200:
                assert not out.seen and not service.seen
                return
            assert service.bodies == [body[:10]] and out.bodies == [body]
            cut = "true" if size > 10 else "false"
            assert service.header("x-envoy-auth-partial-body") == cut
            # Chunks go on as chunks.
            talk = await world.open()
            talk.say(
                f"POST / HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}"
                "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            )
            assert (await talk.whole())[0] == 200
            assert service.bodies[-1] == b"abc" == out.bodies[-1]
            assert out.header("transfer-encoding") == "chunked"
            talk.close()


async def test_answers_are_remembered_as_long_as_it_is_said(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out, origin(tmp_path, tls=False) as service:
        cache = "cache: {key: ['request.headers[\"x-k\"]'], ttl: 'duration(\"60s\")'}"
        async with running(tmp_path, behind(out.port, _rules(service.port, cache))) as world:
            for key in ("a", "a", "b", "a"):
                assert (await send(world, "GET", "/", f"X-K: {key}"))[0] == 200
            assert len(service.seen) == 2 and len(out.seen) == 4
            # Where the key can't be computed, it is asked each time.
            for _ in range(2):
                assert (await send(world, "GET", "/"))[0] == 200
            assert len(service.seen) == 4


async def test_a_backend_may_ask_one_too(tmp_path: Path) -> None:
    def no(_head: bytes, _body: bytes) -> Answer:
        return b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n"

    async with origin(tmp_path, tls=False) as out, origin(tmp_path, no, tls=False) as service:
        text = behind(out.port, "", backend=_rules(service.port))
        async with running(tmp_path, text) as world:
            assert (await send(world, "GET", "/"))[0] == 403 and not out.seen


async def test_a_service_is_spoken_to_by_tls_with_a_key_and_fields(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out, origin(tmp_path) as service:
        rules = """extAuthz: {backend: judge, protocol: {http: {}}, policies: {
            requestHeaderModifier: {set: {x-from: rouse}}, backendAuth: {key: sekret},
            http: {requestTimeout: 10s},
            backendTLS: {root: "CA", hostname: api.test}}}""".replace("CA", str(service.ca))
        more = f"backends: [{{name: judge, host: '127.0.0.1:{service.port}'}}]"
        async with running(tmp_path, behind(out.port, rules, more=more)) as world:
            assert (await send(world, "GET", "/"))[0] == 200
            assert service.header("authorization") == "Bearer sekret"
            assert service.header("x-from") == "rouse"
            assert out.header("authorization") is None
        # Another CA's certificate is none: the service can't be asked, and that denies.
        (tmp_path / "other").mkdir()
        async with origin(tmp_path / "other") as other:
            text = behind(out.port, rules, more=more).replace(str(service.ca), str(other.ca))
            async with running(tmp_path, text) as world:
                assert (await send(world, "GET", "/"))[0] == 403 and len(service.seen) == 1
