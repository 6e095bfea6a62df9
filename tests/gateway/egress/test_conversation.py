"""Of an exchange and a tunnel, their own tests tell; here is who has a connection after them."""

from pathlib import Path

from tests.gateway.egress.world import intercept, origin, running


async def test_a_refusal_is_heard_over_a_body_that_is_still_sent(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("POST /../x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3000000\r\n\r\n")
        for _ in range(30):
            talk.say(b"x" * 100_000)
        status, _head, body = await talk.whole()
        assert status == 400 and body.startswith(b"invalid request\n")
