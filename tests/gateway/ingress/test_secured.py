"""The relay's own TLS, with a client whose records are made by hand: what no library would send."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import cast

import pytest
import trustme

from gateway.ingress.secured import securing
from gateway.ingress.server import Listen
from gateway.tls import Tls
from tests.gateway.ingress.support import (
    GET,
    HOST,
    LAST,
    SCALE,
    FakeUsher,
    actor,
    answering,
    echo,
    field_of,
    read_head,
    running,
)

CA = trustme.CA()
NAME = "a1.demo.actors.example"
UPGRADE = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: raw\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"


def serving() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(NAME).configure_cert(context)
    return context


@dataclass
class Client:
    """One end of TLS whose records are sent, held back and cut as a test wants it."""

    tls: Tls
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: bytes = b""

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.writer.write(self.tls.take())

    def end(self) -> None:
        """Half: by close_notify, and the socket stays open."""
        self.tls.close()
        self.writer.write(self.tls.take())

    async def until(self, end: bytes) -> bytes:
        """What came, to the first `end`. Raises AssertionError when it does not come."""
        async with asyncio.timeout(SCALE):
            while end not in self.seen:
                data = await self.reader.read(65536)
                assert data, self.seen
                self.seen += self.tls.feed(data)
        head, _, self.seen = self.seen.partition(end)
        return head + end

    async def until_end(self) -> bytes:
        async with asyncio.timeout(SCALE):
            while not self.tls.is_closed and (data := await self.reader.read(65536)):
                self.seen += self.tls.feed(data)
        return self.seen


@asynccontextmanager
async def client(
    port: int, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[Client]:
    context = ssl.create_default_context()
    context.maximum_version = newest
    CA.configure_trust(context)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    made = Client(Tls(context, server=False, hostname=NAME), reader, writer)
    try:
        made.tls.start()
        async with asyncio.timeout(SCALE):
            while not made.tls.is_ready:
                writer.write(made.tls.take())
                made.tls.feed(await reader.read(65536))
        writer.write(made.tls.take())
        yield made
    finally:
        writer.close()


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_each_half_of_a_tunnel_ends_by_itself(newest: ssl.TLSVersion) -> None:
    heard = asyncio.get_running_loop().create_future()

    async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(SWITCHED + b"hello")
        writer.write_eof()
        heard.set_result(await reader.read())

    async with actor(upgraded) as port:
        async with running(FakeUsher(port=port), listen=Listen(tls=serving())) as relay:
            async with client(relay.port, newest) as made:
                made.send(UPGRADE)
                assert (await made.until_end()).endswith(b"\r\n\r\nhello")
                made.send(b"and still ")
                made.send(b"speaking")
                made.end()
                async with asyncio.timeout(SCALE):
                    assert await heard == b"and still speaking"


async def test_a_body_cut_by_the_end_of_the_socket_never_looks_whole() -> None:
    heard: list[bytes] = []
    begun, ended = asyncio.Event(), asyncio.Event()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        begun.set()
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                heard.append(data)
        ended.set()

    async with actor(served) as port:
        async with running(FakeUsher(port=port), listen=Listen(tls=serving())) as relay:
            async with client(relay.port) as made:
                chunked = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                made.send(b"POST / HTTP/1.1\r\n" + HOST + chunked)
                await asyncio.wait_for(begun.wait(), SCALE)
                made.writer.write_eof()
                async with asyncio.timeout(SCALE):
                    await ended.wait()
    assert not b"".join(heard).endswith(b"0\r\n\r\n")


async def test_a_record_that_comes_byte_for_byte_and_many_that_come_at_once() -> None:
    async with actor(echo) as port:
        async with running(FakeUsher(port=port), listen=Listen(tls=serving())) as relay:
            async with client(relay.port) as made:
                made.tls.write(GET)
                for byte in made.tls.take():
                    made.writer.write(bytes((byte,)))
                    await asyncio.sleep(0)
                await made.until(b"\r\n\r\n")
                await made.until(b"\r\n\r\n")
                for _ in range(50):
                    made.tls.write(GET)
                made.tls.write(LAST)
                made.writer.write(made.tls.take())
                assert (await made.until_end()).count(b"HTTP/1.1 200 OK\r\n") == 51


async def test_a_forged_record_ends_the_connection_and_reaches_no_one() -> None:
    usher = FakeUsher()
    async with running(usher, listen=Listen(tls=serving())) as relay:
        async with client(relay.port) as made:
            made.tls.write(GET)
            record = bytearray(made.tls.take())
            record[-1] ^= 1
            made.writer.write(record)
            with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
                await made.until_end()
    assert usher.admitted == 0


async def test_a_refused_client_sees_the_end_while_it_still_sends() -> None:
    """The answer is whole and followed by close_notify, though its body is not read to its end."""
    async with running(FakeUsher(), listen=Listen(tls=serving())) as relay:
        async with client(relay.port) as made:
            made.send(b"nonsense\r\n\r\n" + b"x" * 1000)
            answer = await made.until_end()
            assert made.tls.is_closed and b"400" in answer[:16]
            assert answer.rstrip().endswith(b"}}")


async def test_a_slow_reader_costs_bounded_memory_over_tls() -> None:
    size, sent = 64 * 2**20, 0

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_head(reader)
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 2**18):
            writer.write(bytes(2**18))
            await writer.drain()
            sent += 2**18

    async with actor(large) as port:
        async with running(FakeUsher(port=port), listen=Listen(tls=serving())) as relay:
            async with client(relay.port) as made:
                hold = cast("asyncio.Transport", made.writer.transport)
                hold.pause_reading()
                made.send(GET)
                held = -1
                async with asyncio.timeout(SCALE):
                    while sent == 0 or sent != held:
                        held = sent
                        await asyncio.sleep(0.2)
                assert held < size // 2  # the rest waits with the actor
                hold.resume_reading()
                head = await made.until(b"\r\n\r\n")
                assert field_of(head, "content-length") == str(size)
                got = len(made.seen)
                async with asyncio.timeout(SCALE):
                    while got < size:
                        got += len(made.tls.feed(await made.reader.read(2**18)))
                assert got == size


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_follows_the_last_answer_is_dropped(newest: ssl.TLSVersion) -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    async with actor(answering(ok)) as port:
        async with running(FakeUsher(port=port), listen=Listen(tls=serving())) as relay:
            async with client(relay.port, newest) as made:
                made.send(LAST + GET)
                assert (await made.until_end()).count(b"HTTP/1.1") == 1


class Counted(asyncio.Protocol):
    """An inner protocol that knows whether it was told of a connection."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        cast("asyncio.Transport", transport).write(b"welcome")


@asynccontextmanager
async def listening(*, handshake_s: float = SCALE, most: int = 10) -> AsyncIterator[int]:
    Counted.made = 0
    make = securing(Counted, serving(), handshake_s=handshake_s, most_beginning=most)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_handshake_that_never_ends_is_ended() -> None:
    async with listening(handshake_s=0.05) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16\x03\x01")  # the first bytes of a ClientHello
        async with asyncio.timeout(SCALE):
            assert await _end_of(reader)
        writer.close()
    assert Counted.made == 0


async def test_of_too_many_handshakes_the_oldest_goes() -> None:
    async with listening(most=3) as port:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        async with asyncio.timeout(SCALE):
            assert await _end_of(opened[0][0])
        async with client(port) as made:  # a newcomer is served, and the next oldest pays for it
            await made.until(b"welcome")
            async with asyncio.timeout(SCALE):
                assert await _end_of(opened[1][0])
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [(GET, b""), (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x15\x03")],
    ids=["http", "a wrong handshake gets an alert"],
)
async def test_who_does_not_speak_tls_is_no_connection(said: bytes, heard: bytes) -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        async with asyncio.timeout(SCALE):
            assert (await reader.read())[: len(heard)] == heard
        writer.close()
    assert Counted.made == 0


async def test_a_client_that_is_reset_in_its_handshake_leaves_nothing() -> None:
    async with listening(most=1) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with client(port) as made:
            await made.until(b"welcome")
    assert Counted.made == 1


async def _end_of(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
