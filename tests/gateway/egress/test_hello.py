"""The name in a ClientHello, as a real client writes it, and what is refused."""

import ssl

import pytest

from gateway.egress.hello import NoHello, read_hello


def _hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def test_a_real_hello_at_every_cut() -> None:
    data = _hello("a.example.com")
    for cut in range(len(data)):
        assert read_hello(data[:cut]) is None
    found = read_hello(data + b"more")
    assert found is not None and found.name == "a.example.com"


def test_a_hello_without_a_name() -> None:
    found = read_hello(_hello(None))
    assert found is not None and found.name is None


def test_a_hello_in_two_records() -> None:
    data = _hello("a.example.com")
    body = data[5:]
    split = data[:3] + (50).to_bytes(2) + body[:50] + data[:3] + (len(body) - 50).to_bytes(2)
    found = read_hello(split + body[50:])
    assert found is not None and found.name == "a.example.com"


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"\x01" * 9,
     b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"],
)  # fmt: skip
def test_what_is_no_hello_is_refused(data: bytes) -> None:
    with pytest.raises(NoHello):
        read_hello(data)


def test_a_name_cut_short_is_refused() -> None:
    data = bytearray(_hello("a.example.com"))
    at = bytes(data).index(b"a.example.com")
    data[at - 1] = 200
    with pytest.raises(NoHello):
        read_hello(bytes(data))
