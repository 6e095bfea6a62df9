"""A relay behind a load balancer, on real sockets: who the client is, with and without TLS."""

import asyncio
import ssl
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from gateway.ingress.certificates import Certificates, Pair, TlsSettings
from gateway.ingress.server import Listen
from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    actor,
    echo,
    field_of,
    read_answer,
    running,
)
from tests.gateway.ingress.test_proxy_header import second, tcp4

GET = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
HERE = (ip_network("127.0.0.0/8"),)
ELSEWHERE = (ip_network("198.51.100.0/24"),)
LINE = b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"


def sender(answer: bytes) -> str | None:
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return field_of(answer.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[0], "x-forwarded-for")


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (LINE, "192.0.2.1"),
        (tcp4("192.0.2.2", 1), "192.0.2.2"),
        (second(0x20, 0, b""), "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ],
)
async def test_the_client_is_whom_a_trusted_proxy_names(header: bytes, client: str) -> None:
    async with actor(echo) as port:
        listen = Listen(proxies=HERE)
        async with running(FakeUsher(port=port), listen=listen) as relay:
            assert sender(await relay.talk(header + GET)) == client
        assert f'"client":"{client}"'.encode() in b"".join(relay.log)


async def test_whoever_is_named_there_may_be_a_trusted_forwarder_itself() -> None:
    settings = RelaySettings(trusted=(ip_network("192.0.2.0/24"),))
    async with actor(echo) as port:
        listen = Listen(proxies=HERE)
        async with running(FakeUsher(port=port), settings=settings, listen=listen) as relay:
            claim = GET[:-2] + b"X-Forwarded-For: 203.0.113.9\r\n\r\n"
            assert sender(await relay.talk(LINE + claim)) == "203.0.113.9, 192.0.2.1"
            other = LINE.replace(b"192.0.2.1", b"192.0.3.1")
            assert sender(await relay.talk(other + claim)) == "192.0.3.1"


async def test_nobody_else_can_say_who_they_are() -> None:
    async with actor(echo) as port:
        listen = Listen(proxies=ELSEWHERE)
        async with running(FakeUsher(port=port), listen=listen) as relay:
            assert sender(await relay.talk(GET)) == "127.0.0.1"
            for header in (LINE, tcp4("192.0.2.2", 1)):
                assert (await relay.talk(header + GET)).startswith(b"HTTP/1.1 400 ")


async def test_a_proxy_without_its_header_gets_nothing() -> None:
    usher = FakeUsher()
    async with running(usher, listen=Listen(proxies=HERE)) as relay:
        for text in (GET, LINE[:-2] + b"\n" + GET, b"\r\n\r\n\0\r\nQUIT\n\x31" + GET):
            try:
                assert await relay.talk(text) == b""
            except ConnectionResetError:
                pass  # closed over what it had sent behind
    assert usher.admitted == 0


async def test_the_header_stands_before_the_handshake(tmp_path: Path) -> None:
    ca = trustme.CA()
    made = ca.issue_cert("a1.demo.example")
    pair = Pair(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    made.cert_chain_pems[0].write_to_path(pair.cert)
    made.private_key_pem.write_to_path(pair.key)
    tls = Certificates(TlsSettings(pairs=(pair,))).context
    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with actor(echo) as port:
        listen = Listen(proxies=HERE, tls=tls)
        async with running(FakeUsher(port=port), listen=listen) as relay:
            reader, writer = await relay.connect()
            writer.write(LINE)
            await writer.start_tls(context, server_hostname="a1.demo.example")
            writer.write(GET)
            status, _, body = await read_answer(reader)
            assert status == 200 and b"\r\nX-Forwarded-For: 192.0.2.1\r\n" in body
            assert b"\r\nX-Forwarded-Proto: https\r\n" in body
            writer.close()
            await writer.wait_closed()


async def test_a_drain_ends_the_listener_and_serves_who_was_there() -> None:
    async with actor(echo) as port:
        async with running(FakeUsher(port=port), listen=Listen(proxies=HERE)) as relay:
            reader, writer = await relay.connect()
            writer.write(LINE + GET.replace(b"Connection: close\r\n", b""))
            assert (await read_answer(reader))[0] == 200
            silent_reader, silent_writer = await relay.connect()
            async with asyncio.timeout(SCALE):
                assert await relay.relay.drain(SCALE)
                assert await reader.read() == b""
                with pytest.raises(ConnectionRefusedError):
                    while True:
                        _, late = await relay.connect()
                        late.close()
                        await asyncio.sleep(0)
                try:
                    assert await silent_reader.read() == b""
                except ConnectionResetError:
                    pass
            writer.close()
            silent_writer.close()
