"""The four ways in, who speaks, and the bypasses that are known of such proxies.

Every server here is a real one on loopback; what it saw is what it got.
"""

from pathlib import Path

import pytest

from gateway.egress import client
from gateway.egress.parts import Budgets
from tests.gateway.egress.world import World, auth, intercept, ok, origin, running

PLAIN = """
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- mode: internal
  listeners:
  - name: plain
    routes:
    - hostnames: [localhost, "*.rebind.test"]
      backends: [{{dynamic: {{}}}}]
- port: 8080
  listeners:
  - routes:
    - matches: [{{path: {{pathPrefix: /api}}}}]
      policies: {{urlRewrite: {{path: {{prefix: /}}}}, backendAuth: {{key: sekret}}}}
      backends: [{{host: "127.0.0.1:{port}"}}]
rouse: {{privateAddresses: [{private}]}}
"""


async def _get(
    world: World, target: str, host: str, *, token: str | None = "t1"
) -> tuple[int, bytes]:
    talk = await world.open()
    talk.say(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{auth(token)}\r\n")
    status, _head, body = await talk.whole()
    talk.close()
    return status, body


async def test_absolute_form_reaches_what_a_route_names(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            assert await _get(world, f"http://{host}/x?y=1", host) == (200, b"ok")
            assert out.seen[0].startswith(b"GET /x?y=1 HTTP/1.1\r\nhost: " + host.encode())
            assert out.header("proxy-authorization") is None


async def test_a_base_url_is_a_route_of_a_plain_listener(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="")
        async with running(tmp_path, text) as world:
            status, _ = await _get(world, "http://egress.internal/api/v1/x", "egress.internal")
            assert status == 200 and out.seen[0].startswith(b"GET /v1/x ")
            assert out.header("authorization") == "Bearer sekret"
            status, body = await _get(world, "/nothing", "egress.internal")
            assert status == 404 and body.startswith(b"route not found\n")


async def test_an_intercepted_request_gets_its_credential(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, policies="backendAuth: {key: sekret}")
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            assert talk.answer.startswith(b"HTTP/1.1 200 ")
            await talk.tls(world.client_tls(), "api.test")
            for _ in range(3):
                talk.say("GET /a HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer mine\r\n\r\n")
                assert (await talk.whole())[::2] == (200, b"ok")
            assert out.header("authorization") == "Bearer sekret" and out.connections == 1
            assert b"mine" not in b"".join(out.seen)
            line = world.lines[0]
            assert (line.actor, line.decision, line.to, line.path) == (
                "demo/c1", "allow", "api.test:443", "/a")  # fmt: skip
            assert "sekret" not in repr(world.lines)


# Refused before the 200 of CONNECT, as an HTTP answer --------------------------------------


@pytest.mark.parametrize(
    ("authority", "token", "status", "words"),
    [
        ("api.test:443", None, 407, b"authentication failure"),
        ("api.test:443", "forged", 407, b"authentication failure"),
        ("evil.test:443", "t1", 403, b"authorization failed"),
        ("api.test:22", "t1", 404, b"bind not found"),
        ("api.test:8443", "t1", 404, b"bind not found"),
        ("api.test", "t1", 400, b"invalid request"),
        ("0x7f000001:443", "t1", 400, b"invalid request"),
        ("2130706433:443", "t1", 400, b"invalid request"),
        ("api.test@evil.test:443", "t1", 400, b"invalid request"),
        ("127.0.0.1:443", "t1", 403, b"authorization failed"),
    ],
)
async def test_a_connect_that_nothing_admits(
    tmp_path: Path, authority: str, token: str | None, status: int, words: bytes
) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.open()
        talk.say(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{auth(token)}\r\n")
        got, _head, body = await talk.whole()
        assert (got, body.startswith(words)) == (status, True), body
        assert not out.connections and world.lines[-1].decision == "deny"
        talk.close()


async def test_after_a_407_the_client_may_come_again_on_the_same_connection(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.open()
        talk.say("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        status, head, _ = await talk.whole()
        assert status == 407 and b"proxy-authenticate: Basic" in head
        talk.say(f"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n{auth('t1')}\r\n")
        assert (await talk.head()).startswith(b"HTTP/1.1 200 ")
        talk.close()


async def test_connect_host_sni_and_host_must_be_one(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, host="'*.test'")
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            with pytest.raises(OSError, match=r"(?i)unrecognized|alert|closed|reset"):
                await talk.tls(world.client_tls(), "other.test")
            talk.close()
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
            status, _head, body = await talk.whole()
            assert status == 421 and body.startswith(b"misdirected request\n")
            assert not out.seen
            talk.close()


async def test_connects_own_host_field_must_be_the_same_too(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.open()
        talk.say(f"CONNECT api.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n{auth('t1')}\r\n")
        assert (await talk.whole())[0] == 421
        talk.close()


async def test_an_address_is_a_target_with_a_certificate_for_it(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca, host="192.0.2.7")
        async with running(tmp_path, text) as world:
            talk = await world.connect("192.0.2.7:443")
            await talk.tls(world.client_tls(), "192.0.2.7")
            talk.say("GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n\r\n")
            assert (await talk.whole())[0] == 200
            talk.close()


# Addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:169.254.169.254]"]
)
async def test_private_addresses_are_refused_unless_named(tmp_path: Path, host: str) -> None:
    text = """
binds:
- {port: 3128, tunnelProtocol: connect, listeners: []}
- mode: internal
  listeners: [{name: p, routes: [{backends: [{dynamic: {}}]}]}]
"""
    async with running(tmp_path, text) as world:
        status, body = await _get(world, f"http://{host}/latest/meta-data", host)
        assert status == 403 and body.startswith(b"authorization failed\n"), body
        talk = await world.connect(f"{host}:80")
        assert talk.answer.startswith(b"HTTP/1.1 403 ")
        talk.close()


async def test_a_name_that_is_rebound_is_judged_by_where_it_points_then(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        asked: list[str] = []

        async def lookup(host: str) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"]  # a resolver of the actor's own choice, in effect

        text = PLAIN.format(port=out.port, private="10.0.0.0/8")
        async with running(tmp_path, text, lookup=lookup) as world:
            host = f"a.rebind.test:{out.port}"
            status, body = await _get(world, f"http://{host}/", host)
            assert status == 403 and b"127.0.0.1 is a loopback address" in body
            assert asked == ["a.rebind.test"] and not out.connections


async def test_a_redirect_is_the_actors_to_follow_and_judged_anew(tmp_path: Path) -> None:
    def away(_head: bytes, _body: bytes) -> bytes:
        return (
            b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n"
        )

    async with origin(tmp_path, away, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            assert (await _get(world, f"http://{host}/", host))[0] == 302
            assert (await _get(world, "http://169.254.169.254/", "169.254.169.254"))[0] == 404


# Identity ------------------------------------------------------------------------------------


async def test_a_connection_stays_with_the_actor_that_began_it(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            talk = await world.open()
            for token, status in (("t1", 200), ("t2", 403), ("t1", 200)):
                talk.say(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{auth(token)}\r\n")
                assert (await talk.whole())[0] == status
            talk.close()


async def test_actors_share_no_connection_to_the_outside(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        text = PLAIN.format(port=out.port, private="127.0.0.0/8, '::1'")
        async with running(tmp_path, text) as world:
            host = f"localhost:{out.port}"
            for token in ("t1", "t2", "t1", "t2"):
                assert (await _get(world, f"http://{host}/", host, token=token))[0] == 200
            assert out.connections == 2


async def test_a_token_ends_with_its_actor_also_on_open_connections(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert (await talk.whole())[0] == 200
        world.caller.here = False  # suspended; its connections were not found yet
        talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert (await talk.whole())[0] == 407
        again = await world.connect("api.test:443")
        assert again.answer.startswith(b"HTTP/1.1 407 ")
        talk.close()
        again.close()


async def test_a_suspended_actor_loses_its_connections(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        world.proxy.drop(world.caller.key)
        assert await talk.rest() == b""
        talk.close()


# Smuggling and nonsense ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: api.test\r\nHost: evil.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.test\r\nX: a\nY: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : api.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.test\r\n folded: x\r\n\r\n",
        "GET http://evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET /../secret HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "GET /%2e%2e/secret HTTP/1.1\r\nHost: api.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x00",
    ],
)  # fmt: skip
async def test_what_two_could_read_differently_is_refused(tmp_path: Path, text: str) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say(text)
        assert (await talk.head()).split(b" ")[1] in (b"400", b"421", b"501")
        assert not out.seen
        talk.close()


async def test_a_head_without_an_end_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, "binds: []") as world:
        talk = await world.open()
        talk.say("GET / HTTP/1.1\r\nHost: x\r\nX: " + "a" * 70_000)
        assert (await talk.head()).startswith(b"HTTP/1.1 431 ")
        talk.close()


async def test_a_slow_head_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, "binds: []", budgets=Budgets(head_s=0.3)) as world:
        talk = await world.open()
        talk.say("GET / HT")
        assert await talk.rest() == b""
        talk.close()


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    def echo(head: bytes, body: bytes) -> bytes:
        return ok(head.split(b" ")[1] + body)

    async with (
        origin(tmp_path, echo) as out,
        running(tmp_path, intercept(out.port, out.ca)) as world,
    ):
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say(
            "GET /1 HTTP/1.1\r\nHost: api.test\r\n\r\n"
            "POST /2 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\nab"
            "GET /3 HTTP/1.1\r\nHost: api.test\r\n\r\n"
        )
        assert [(await talk.whole())[2] for _ in range(3)] == [b"/1", b"/2ab", b"/3"]
        talk.close()


async def test_a_forged_caller_field_never_goes_on(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("GET / HTTP/1.1\r\nHost: api.test\r\nRouse-Caller: x\r\nRouse_Caller: y\r\n\r\n")
        await talk.whole()
        assert b"caller" not in out.seen[0].lower()
        talk.close()


# Rules at work -------------------------------------------------------------------------------


async def test_a_change_of_the_document_holds_for_open_tunnels(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        request = "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n"
        talk.say(request)
        assert (await talk.whole())[0] == 200
        stricter = "authorization: {rules: [{deny: 'true'}]}"
        world.document.write_text(intercept(out.port, out.ca, policies=stricter))
        assert await world.proxy.parts.policies.look()
        talk.say(request)
        assert (await talk.whole())[0] == 403
        talk.close()


async def test_a_rate_limit_counts_repeated_requests(tmp_path: Path) -> None:
    limit = "localRateLimit: [{maxTokens: 2, tokensPerFill: 1, fillInterval: 1h, key: actor.id}]"
    async with origin(tmp_path) as out:
        async with running(tmp_path, intercept(out.port, out.ca, policies=limit)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            statuses = []
            for _ in range(3):
                talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                statuses.append((await talk.whole())[0])
            assert statuses == [200, 200, 429]
            talk.close()


async def test_an_actor_has_a_bounded_number_of_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_CONNECTIONS", 3)
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        answers = [(await world.connect("api.test:443")).answer[9:12] for _ in range(5)]
        assert answers == [b"200"] * 3 + [b"429"] * 2
        assert (await world.connect("api.test:443", "t2")).answer[9:12] == b"200"


async def test_a_refusal_is_heard_over_a_body_that_is_still_sent(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("POST /../x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(30):
            talk.say(b"x" * 100_000)
        status, _head, body = await talk.whole()
        assert status == 400 and body.startswith(b"invalid request\n")


async def test_a_refused_head_request_gets_no_body(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        for path in ("/../x", "/good"):
            talk.say(f"HEAD {path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert (await talk.head()).startswith(b"HTTP/1.1 400 ")
        assert (await talk.head()).startswith(b"HTTP/1.1 200 ")


async def test_what_is_remembered_of_another_connection_is_of_this_actor_and_of_these_rules(
    tmp_path: Path,
) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:

        async def status(token: str) -> int:
            talk = await world.connect("api.test:443", token)
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            return (await talk.whole())[0]

        assert [await status(token) for token in ("t1", "t1", "t2", "t1")] == [200] * 4
        assert [line.actor for line in world.lines] == ["demo/c1"] * 2 + ["demo/c2", "demo/c1"]
        own = "authorization: {rules: ['actor.name == \"c2\"']}"
        world.document.write_text(intercept(out.port, out.ca, policies=own))
        assert await world.proxy.parts.policies.look()
        assert [await status(token) for token in ("t1", "t2", "t1")] == [403, 200, 403]


async def test_a_rule_about_the_connection_is_asked_for_each(tmp_path: Path) -> None:
    rule = 'authorization: {rules: [\'source.connectHeaders["x-pass"] == "yes"\']}'
    async with origin(tmp_path) as out:
        async with running(tmp_path, intercept(out.port, out.ca, policies=rule)) as world:
            statuses = []
            for word in ("yes", "no", "yes"):
                talk = await world.open()
                talk.say("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"
                         f"X-Pass: {word}\r\n{auth('t1')}\r\n")  # fmt: skip
                await talk.head()
                await talk.tls(world.client_tls(), "api.test")
                talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                statuses.append((await talk.whole())[0])
            assert statuses == [200, 403, 200]
