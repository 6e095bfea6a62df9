"""The proxy as a whole: own sockets, and ends."""

import socket
from pathlib import Path

from tests.gateway.egress.world import FakeCaller, auth, intercept, origin, running


async def test_a_socket_of_ones_own_needs_no_token_and_takes_no_others(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        own = FakeCaller(key="rouse-own-1")
        sock = socket.create_server(("127.0.0.1", 0))
        world.address = sock.getsockname()
        await world.proxy.listen(sock, own)
        assert (await world.connect("api.test:443", None)).answer.startswith(b"HTTP/1.1 200 ")
        stolen = await world.open()
        stolen.say(f"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\n{auth('t1')}\r\n")
        status, _head, body = await stolen.whole()
        assert status == 403 and b"another actor's" in body
        world.proxy.drop(own.key)
        assert await stolen.rest() == b""
        stolen.close()


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    from gateway.egress.parts import Budgets

    async with running(tmp_path, "binds: []", budgets=Budgets(head_s=0.2)) as world:
        talk = await world.open()
        assert await talk.rest() == b""
        talk.close()
