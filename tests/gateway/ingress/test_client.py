"""A client's connection: budgets for its head and its idleness, splits of its bytes, its end."""

import asyncio
from ipaddress import ip_network

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    actor,
    echo,
    error_of,
    field_of,
    read_answer,
    running,
)

GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


async def test_a_request_that_comes_byte_by_byte_is_the_same_request() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        for byte in b"POST /x HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc":
            writer.write(bytes([byte]))
            await writer.drain()
        _, _, body = await read_answer(reader)
        assert body.startswith(b"POST /x ") and body.endswith(b"abc")
        writer.close()


async def test_a_head_that_does_not_come_in_time_is_400() -> None:
    async with running(FakeUsher(), settings=RelaySettings(head_s=0.05)) as relay:
        answer = await relay.talk(b"GET / HTTP/1.1\r\nHost:")
        assert answer.startswith(b"HTTP/1.1 400 ") and "in time" in str(error_of(answer))


async def test_a_connection_without_a_request_is_closed_in_its_time() -> None:
    settings = RelaySettings(idle_s=0.05)
    async with actor(echo) as port, running(FakeUsher(port=port), settings=settings) as relay:
        assert await relay.talk(b"") == b""
        assert (await relay.talk(GET)).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_owes_its_body_too_long_is_disconnected() -> None:
    settings = RelaySettings(body_idle_s=0.05)
    async with actor(echo) as port, running(FakeUsher(port=port), settings=settings) as relay:
        answer = await relay.talk(b"POST / HTTP/1.1\r\n%bContent-Length: 9\r\n\r\nhalf" % HOST)
        assert answer == b""


async def test_a73_requests_above_an_addresss_rate_are_429_with_the_time_to_wait() -> None:
    settings = RelaySettings(rate_per_address=0.01, rate_burst=2)
    async with actor(echo) as port, running(FakeUsher(port=port), settings=settings) as relay:
        reader, writer = await relay.connect()
        writer.write(GET * 3)
        assert [(await read_answer(reader))[0] for _ in range(2)] == [200, 200]
        status, head, _ = await read_answer(reader)
        assert status == 429 and 90 < int(field_of(head, "retry-after") or 0) <= 100
        writer.write(GET)  # the connection lives on, and a guessed name costs a token too
        assert (await read_answer(reader))[0] == 429
        writer.close()
        assert len(relay.usher.tickets) == 2


async def test_a_trusted_proxys_clients_have_each_their_own_rate() -> None:
    settings = RelaySettings(
        rate_per_address=0.01, rate_burst=1, trusted=(ip_network("127.0.0.0/8"),)
    )
    async with actor(echo) as port, running(FakeUsher(port=port), settings=settings) as relay:
        reader, writer = await relay.connect()
        statuses = []
        for address in (b"1.1.1.1", b"2.2.2.2", b"1.1.1.1"):
            writer.write(GET[:-2] + b"X-Forwarded-For: 9.9.9.9, " + address + b"\r\n\r\n")
            statuses.append((await read_answer(reader))[0])
        assert statuses == [200, 200, 429]
        writer.close()


async def test_an_error_reaches_a_client_that_is_still_sending_its_body() -> None:
    async with running(FakeUsher()) as relay:
        reader, writer = await relay.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 5000000\r\n\r\n")
        writer.write(b"x" * 5_000_000)
        status, head, _ = await read_answer(reader)
        assert status == 404 and b"\r\nConnection: close\r\n" in head
        async with asyncio.timeout(SCALE):
            assert await reader.read() == b""
        writer.close()


async def test_smuggled_requests_reach_no_actor() -> None:
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    inner = b"GET /admin HTTP/1.1\r\n" + HOST + b"\r\n"
    length = b"Content-Length: %d\r\n" % len(inner)
    families = [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b" Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\n" + length + b"\r\n",
        b"Content-Length: 0, 5\r\n\r\n",
        b"Content-Length : 5\r\n\r\n",
        b"Content-Length: 0x0\r\n\r\n",
        b"Connection: Content-Length\r\n" + length + b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ]
    async with actor(note) as port, running(FakeUsher(port=port)) as relay:
        for family in families:
            answer = await relay.talk(b"POST / HTTP/1.1\r\n" + HOST + family + inner)
            assert answer[9:12] in (b"400", b"501") and answer.count(b"HTTP/1.1 ") == 1, family
    assert not any(b"/admin" in head for head in heads)
