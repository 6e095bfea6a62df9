"""The relay as a whole on real sockets: what a client and an actor see of each other through it."""

import json

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    HOST,
    FakeUsher,
    actor,
    answering,
    echo,
    field_of,
    read_answer,
    running,
)


async def test_a_kept_connection_carries_one_request_after_the_other() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        for number in range(3):
            writer.write(b"POST /%d HTTP/1.1\r\n%bContent-Length: 2\r\n\r\nhi" % (number, HOST))
            status, head, body = await read_answer(reader)
            assert status == 200
            assert body.startswith(b"POST /%d HTTP/1.1\r\n" % number) and body.endswith(b"hi")
            assert field_of(head, "x-request-id") == field_of(body, "x-request-id")
        writer.close()
        assert len(relay.usher.tickets) == 3
