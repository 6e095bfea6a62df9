"""Names inside an actor's network; that programs find it there is test_egress's (system)."""

import asyncio
import socket
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from gateway.egress import nameserver
from gateway.egress.nameserver import NameServer, answer

HERE = "127.209.0.1"


def _ask(name: str, kind: str = "A") -> dns.message.Message:
    found = answer(dns.message.make_query(name, kind).to_wire(), HERE)
    assert found is not None
    return dns.message.from_wire(found)


def test_every_name_is_at_our_socket() -> None:
    for name in ("api.test", "Api.Test.", "a.b.c.d.example"):
        reply = _ask(name)
        assert [each.to_text() for each in reply.answer[0]] == [HERE]
        assert reply.flags & dns.flags.QR


@pytest.mark.parametrize("kind", ["AAAA", "HTTPS", "MX", "TXT", "ANY"])
def test_there_is_nothing_else_to_know(kind: str) -> None:
    reply = _ask("api.test", kind)
    assert reply.rcode() == dns.rcode.NOERROR and not reply.answer


@pytest.mark.parametrize("name", ["localhost", "localhost.", "x.localhost", "hostname"])
def test_what_is_the_sandboxs_own_is_not_here(name: str) -> None:
    assert _ask(name).rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"\0" * 11, b"\xff" * 40, b"x" * 600, b"\0\1\1\0\0\1" + b"\0" * 6 + b"\1a"],
)
def test_what_is_no_question_gets_no_answer(nonsense: bytes) -> None:
    assert answer(nonsense, HERE) is None


def test_an_answer_is_not_answered() -> None:
    reply = dns.message.make_response(dns.message.make_query("a.test", "A"))
    assert answer(reply.to_wire(), HERE) is None


async def test_most_of_a_flood_is_dropped_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nameserver, "_PER_S", 1.0)
    server = NameServer(HERE)
    sent: list[bytes] = []

    class Transport(asyncio.DatagramTransport):
        def sendto(self, data: Any, addr: Any = None) -> None:
            sent.append(data)

    server.connection_made(Transport())
    for _ in range(100):
        server.datagram_received(dns.message.make_query("a.test", "A").to_wire(), ("127.0.0.1", 1))
    assert 1 <= len(sent) < 50


async def test_it_answers_by_udp_and_lives_on_after_nonsense() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NameServer(HERE), local_addr=("127.0.0.1", 0)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(transport.get_extra_info("sockname"))
        await loop.sock_sendall(sock, b"nonsense")
        await loop.sock_sendall(sock, dns.message.make_query("a.test", "A").to_wire())
        async with asyncio.timeout(10):
            reply = dns.message.from_wire(await loop.sock_recv(sock, 2000))
        assert reply.answer[0].rdtype == dns.rdatatype.A
    transport.close()
