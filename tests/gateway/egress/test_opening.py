"""CONNECT: what is refused before the 200, and that CONNECT, SNI and Host are one name."""

from pathlib import Path

import pytest

from tests.gateway.egress.world import auth, intercept, origin, running


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
        ("*.test:443", "t1", 400, b"invalid request"),
        ("api.test:0", "t1", 400, b"invalid request"),
        ("api.test:65536", "t1", 400, b"invalid request"),
        ("api.test:443:443", "t1", 400, b"invalid request"),
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
