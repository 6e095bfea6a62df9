"""TLS by hand: a pair of ends, every byte carried over in pieces."""

import ssl
from pathlib import Path

import pytest

from gateway.egress.certs import Authority, make_authority
from gateway.tls import Tls


def _pair(tmp_path: Path, name: str = "a.test", verify: str = "a.test") -> tuple[Tls, Tls]:
    make_authority(tmp_path / "c", tmp_path / "k")
    context = Authority(tmp_path / "c", tmp_path / "k").mint(name)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "c"))
    client = Tls(trusting, server=False, hostname=verify)
    client.start()
    return client, Tls(context, server=True)


def _carry(client: Tls, server: Tls, step: int = 100) -> tuple[bytes, bytes]:
    """(what the client read, what the server read) until nobody says anything."""
    got = [b"", b""]
    while client.waiting or server.waiting:
        for number, (source, sink) in enumerate(((server, client), (client, server))):
            data = source.take()
            for at in range(0, len(data), step):
                got[number] += sink.feed(data[at : at + step])
    return got[0], got[1]


def test_any_cut_of_the_bytes_gives_the_same_words(tmp_path: Path) -> None:
    client, server = _pair(tmp_path)
    for step in (7, 1000):
        _carry(client, server, step)
        assert client.is_ready and server.is_ready
        client.write(b"x" * 40_000)
        server.write(b"y" * 5)
        assert _carry(client, server, step) == (b"y" * 5, b"x" * 40_000)


def test_a_close_is_seen(tmp_path: Path) -> None:
    client, server = _pair(tmp_path)
    _carry(client, server)
    server.write(b"bye")
    server.close()
    assert _carry(client, server)[0] == b"bye" and client.is_closed


def test_a_wrong_name_fails_the_handshake(tmp_path: Path) -> None:
    client, server = _pair(tmp_path, verify="b.test")
    with pytest.raises(ssl.SSLError):
        _carry(client, server)
