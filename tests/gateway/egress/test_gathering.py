"""Bodies that a decision waits for: framing, bounds, who leaves meanwhile, what follows them."""

import asyncio
from pathlib import Path

from tests.gateway.egress.world import auth, behind, origin, running, send

POST = f"POST / HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}"
READS = "authorization: {rules: ['json(request.body).ok']}"


async def test_what_follows_a_body_is_the_next_request(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, READS)) as world:
            talk = await world.open()
            one = POST + "Content-Length: 11\r\n\r\n"
            talk.say(one + '{"ok":true}' + one + '{"ok":')
            assert (await talk.whole())[0] == 200 and out.bodies == [b'{"ok":true}']
            talk.say("true}")
            assert (await talk.whole())[0] == 200 and len(out.bodies) == 2
            talk.close()


async def test_chunks_go_on_as_they_came(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, READS)) as world:
            talk = await world.open()
            talk.say(
                f"POST / HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}"
                "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            )
            assert (await talk.head()).startswith(b"HTTP/1.1 100 ")
            talk.say('4\r\n{"ok\r\n7\r\n":true}\r\n0\r\n\r\n')
            assert (await talk.whole())[0] == 200 and out.bodies == [b'{"ok":true}']
            assert out.header("transfer-encoding") == "chunked"
            talk.say(f"POST / HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}")
            talk.say("Transfer-Encoding: chunked\r\n\r\nzz\r\n")
            assert (await talk.whole())[0] == 400
            talk.close()


async def test_a_call_that_waits_for_its_body_keeps_the_actor_awake_until_it_leaves(
    tmp_path: Path,
) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, READS)) as world:
            talk = await world.open()
            talk.say(POST + "Content-Length: 9\r\n\r\nab")
            async with asyncio.timeout(10):
                while not world.caller.calls:
                    await asyncio.sleep(0.01)
                talk.writer.transport.abort()
                while world.caller.calls or world.proxy.parts.holding.total:
                    await asyncio.sleep(0.01)
            assert not out.seen


async def test_a_suspend_in_between_ends_it(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, READS)) as world:
            talk = await world.open()
            talk.say(POST + "Content-Length: 9\r\n\r\nab")
            async with asyncio.timeout(10):
                while not world.caller.calls:
                    await asyncio.sleep(0.01)
            world.caller.here = False
            world.proxy.drop(world.caller.key)
            assert await talk.rest() == b"" and not out.seen


async def test_what_was_held_is_given_back_when_all_is_sent(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, READS)) as world:
            for body, status in ((b'{"ok":true}', 200), (b'{"ok":false}', 403), (b"x", 403)):
                assert (await send(world, "POST", "/", body=body))[0] == status
            async with asyncio.timeout(10):
                while world.proxy.parts.holding.total:
                    await asyncio.sleep(0.01)
