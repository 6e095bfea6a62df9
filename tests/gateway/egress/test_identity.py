"""Who speaks, and that it stays so."""

from pathlib import Path

import pytest

from gateway.egress import identity
from tests.gateway.egress.world import PLAIN, auth, intercept, origin, running


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


async def test_an_actor_has_a_bounded_number_of_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MOST_CONNECTIONS", 3)
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        answers = [(await world.connect("api.test:443")).answer[9:12] for _ in range(5)]
        assert answers == [b"200"] * 3 + [b"429"] * 2
        assert (await world.connect("api.test:443", "t2")).answer[9:12] == b"200"


async def test_after_a_407_the_client_may_come_again_on_the_same_connection(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.open()
        talk.say("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        status, head, _ = await talk.whole()
        assert status == 407 and b"proxy-authenticate: Basic" in head
        talk.say(f"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n{auth('t1')}\r\n")
        assert (await talk.head()).startswith(b"HTTP/1.1 200 ")
        talk.close()
