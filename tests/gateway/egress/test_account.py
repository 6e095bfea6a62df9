"""What a call was counted as, in one line at its end; how use is found is metering's tests'."""

from pathlib import Path

from tests.gateway.egress.world import intercept, ok, origin, running

USED = b"""{"model": "gpt-4o-mini", "usage": {"prompt_tokens": 7, "completion_tokens": 5}}"""


async def test_a_call_is_told_once_with_what_it_used_and_moved(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _head, _body: ok(USED)) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: api.test\r\n"
                "Content-Length: 2\r\n\r\n{}"
            )
            assert (await talk.whole())[0] == 200
            (line,) = world.lines
            assert (line.model, line.input_tokens, line.output_tokens) == ("gpt-4o-mini", 7, 5)
            assert (line.bytes_out, line.bytes_in, line.route) == (2, len(USED), "api")


async def test_a_refused_call_used_nothing(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _head, _body: b"nonsense\r\n\r\n") as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET /v1/models HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 502
            (line,) = world.lines
            assert (line.decision, line.status, line.model) == ("fail", 502, "")
