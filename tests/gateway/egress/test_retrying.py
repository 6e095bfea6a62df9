"""Trying once more, end to end: on what, how often, with what, and when not."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.egress import retrying
from gateway.egress.refusals import Refused
from tests.gateway.egress.world import auth, behind, ok, origin, running, send

BUSY = b"HTTP/1.1 503 Busy\r\nx-again: yes\r\ncontent-length: 0\r\n\r\n"


async def test_a_listed_status_is_tried_again_with_the_same_body(tmp_path: Path) -> None:
    answers = [BUSY, BUSY, ok(b"done")]
    async with origin(tmp_path, lambda _h, _b: answers.pop(0), tls=False) as out:
        rules = "retry: {attempts: 2, codes: [503]}"
        async with running(tmp_path, behind(out.port, rules)) as world:
            status, _head, body = await send(world, "POST", "/", body=b"hello")
            assert (status, body) == (200, b"done") and out.bodies == [b"hello"] * 3
            tries = [out.header("x-retry-attempt", number) for number in range(3)]
            assert tries == [None, "1", "2"]
            assert [each.status for each in world.lines] == [200]


async def test_the_last_answer_stands_when_all_tries_are_used(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _h, _b: BUSY, tls=False) as out:
        async with running(tmp_path, behind(out.port, "retry: {codes: [503]}")) as world:
            assert (await send(world, "GET", "/"))[0] == 503 and len(out.seen) == 2
            rules = "retry: {codes: [503], precondition: 'request.method == \"GET\"'}"
            world.document.write_text(behind(out.port, rules))
            await world.proxy.parts.policies.look()
            assert (await send(world, "POST", "/", body=b"x"))[0] == 503 and len(out.seen) == 3


async def test_a_condition_over_the_answer_tries_again_too(tmp_path: Path) -> None:
    answers = [ok(b"no", "x-failed: true\r\n"), ok(b"yes")]
    async with origin(tmp_path, lambda _h, _b: answers.pop(0), tls=False) as out:
        rules = 'retry: {codes: [], condition: \'response.headers["x-failed"] == "true"\'}'
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "GET", "/"))[2] == b"yes"


async def test_no_connection_is_tried_again_whatever_the_method(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        port = out.port
    # Nobody listens there any more.
    rules = "retry: {attempts: 2, codes: [503], backoff: 10ms}"
    async with running(tmp_path, behind(port, rules)) as world:
        status, _head, body = await send(world, "POST", "/", body=b"x")
        assert status == 503 and body.startswith(b"upstream call failed\n")


async def test_a_body_that_is_too_large_to_keep_is_sent_once(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _h, _b: BUSY, tls=False) as out:
        async with running(tmp_path, behind(out.port, "retry: {codes: [503]}")) as world:
            assert (await send(world, "POST", "/", body=b"x" * 100_000))[0] == 503
            assert len(out.seen) == 1


async def test_a_try_that_takes_too_long_is_one_of_several(tmp_path: Path) -> None:
    seen = 0

    async def slow(_head: bytes, _body: bytes) -> bytes:
        nonlocal seen
        seen += 1
        if seen == 1:
            await asyncio.Event().wait()
        return ok(b"second")

    async with origin(tmp_path, slow, tls=False) as out:
        rules = "timeout: {backendRequestTimeout: 500ms}, retry: {attempts: 20, codes: [503]}"
        async with running(tmp_path, behind(out.port, rules)) as world:
            assert (await send(world, "POST", "/", body=b"x"))[2] == b"second"


async def test_what_was_sent_and_lost_is_not_sent_again_by_a_method_that_may_not(
    tmp_path: Path,
) -> None:
    async def lose(_head: bytes, _body: bytes) -> bytes:
        raise OSError("closed")

    async with origin(tmp_path, lose, tls=False) as out:
        async with running(tmp_path, behind(out.port, "retry: {codes: [503]}")) as world:
            assert (await send(world, "POST", "/", body=b"x"))[0] == 503 and len(out.seen) == 1
            assert (await send(world, "PUT", "/", body=b"x"))[0] == 503 and len(out.seen) == 3


async def test_an_actor_that_leaves_in_between_ends_it(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _h, _b: BUSY, tls=False) as out:
        rules = "retry: {attempts: 5, codes: [503], backoff: 500ms}"
        async with running(tmp_path, behind(out.port, rules)) as world:
            talk = await world.open()
            talk.say(f"GET / HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}\r\n")
            async with asyncio.timeout(10):
                while not out.seen:
                    await asyncio.sleep(0.01)
            talk.writer.transport.abort()
            async with asyncio.timeout(10):
                while world.caller.calls:
                    await asyncio.sleep(0.01)
            assert len(out.seen) == 1


async def test_another_provider_of_the_group_is_asked_when_one_is_out(tmp_path: Path) -> None:
    good = json.dumps({"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    async with (
        origin(tmp_path, lambda _h, _b: BUSY, tls=False) as one,
        origin(tmp_path, lambda _h, _b: ok(good.encode()), tls=False) as two,
    ):
        text = f"""
binds:
- port: 8080
  listeners:
  - routes:
    - policies: {{retry: {{codes: [503]}}}}
      backends:
      - ai:
          groups:
          - providers:
            - {{name: a, hostOverride: "127.0.0.1:{one.port}", provider: {{openAI: {{}}}},
               policies: {{backendAuth: {{key: key-a}}}}}}
          - providers:
            - {{name: b, hostOverride: "127.0.0.1:{two.port}",
               provider: {{openAI: {{model: other}}}}, policies: {{backendAuth: {{key: key-b}}}}}}
"""
        async with running(tmp_path, text) as world:
            body = b'{"model": "m", "messages": []}'
            for _ in range(2):
                assert (await send(world, "POST", "/v1/chat/completions", body=body))[0] == 200
            # The first one is out now, so that the second request goes to the other at once.
            assert len(one.seen) == 1 and len(two.seen) == 2
            assert one.header("authorization") == "Bearer key-a"
            assert two.header("authorization") == "Bearer key-b"
            assert json.loads(one.bodies[0])["model"] == "m"
            assert json.loads(two.bodies[0])["model"] == "other"
            assert two.header("x-retry-attempt", 0) == "1"


@pytest.mark.parametrize(
    ("what", "was_sent", "is_repeatable", "again"),
    [
        (Refused.UPSTREAM, False, False, True),
        (Refused.UPSTREAM, True, False, False),
        (Refused.UPSTREAM, True, True, True),
        (Refused.BACKEND_TIMEOUT, True, False, True),
        (Refused.DNS, False, False, True),
        (Refused.TIMEOUT, True, True, False),
        (Refused.FORBIDDEN, False, True, False),
    ],
)
def test_failures(what: Refused, was_sent: bool, is_repeatable: bool, again: bool) -> None:
    found = retrying.on_failure(what, was_sent=was_sent, is_repeatable=is_repeatable)
    assert found is again
