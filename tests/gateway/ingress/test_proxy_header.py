"""The PROXY protocol as bytes in and a source out; one byte too many is never read."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.proxy_header import BadProxyHeader, ProxyHeader, Source

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def second(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(rest)) + rest


def tcp4(host: str, port: int, tlvs: bytes = b"") -> bytes:
    rest = IPv4Address(host).packed + IPv4Address("10.0.0.1").packed
    return second(0x21, 0x11, rest + struct.pack("!HH", port, 443) + tlvs)


def tcp6(host: str, port: int) -> bytes:
    rest = IPv6Address(host).packed + IPv6Address("::1").packed
    return second(0x21, 0x21, rest + struct.pack("!HH", port, 443))


def read(data: bytes, steps: list[int] | None = None) -> tuple[ProxyHeader, bytes]:
    """The header fed as it asks for it, or in smaller steps, and what was left unread."""
    header, sizes = ProxyHeader(), iter(steps or [])
    while header.wants:
        assert data, "it wants more than there is"
        size = max(1, min(header.wants, next(sizes, header.wants)))
        header.feed(data[:size])
        data = data[size:]
    return header, data


GOOD = [
    (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", Source("192.0.2.1", 56324)),
    (b"PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", Source("2001:db8::1", 1)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (tcp4("192.0.2.1", 56324), Source("192.0.2.1", 56324)),
    (tcp4("192.0.2.1", 0, b"\x04\x00\x03abc"), Source("192.0.2.1", 0)),
    (tcp6("2001:db8::1", 7), Source("2001:db8::1", 7)),
    (second(0x20, 0x00, b""), None),
    (second(0x20, 0x11, b"anything goes"), None),
    (second(0x21, 0x00, b""), None),
    (second(0x21, 0x31, b"\0" * 216), None),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_tells_the_source_and_leaves_what_follows(
    header: bytes, source: Source | None
) -> None:
    for follows in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\r\n", b"PROXY "):
        done, left = read(header + follows)
        assert (done.source, left) == (source, follows)


@given(st.sampled_from(GOOD), st.lists(st.integers(1, 20)))
def test_any_split_tells_the_same(good: tuple[bytes, Source | None], steps: list[int]) -> None:
    done, left = read(good[0] + b"rest", steps)
    assert (done.source, left) == (good[1], b"rest")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_makes_the_round_trip(host: IPv4Address | IPv6Address, port: int) -> None:
    text = str(host)
    binary = tcp4(text, port) if host.version == 4 else tcp6(text, port)
    line = f"PROXY TCP{host.version} {text} {text} {port} 443\r\n".encode()
    for header in (binary, line):
        assert read(header)[0].source == Source(text, port)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"proxy TCP4 192.0.2.1 10.0.0.1 1 1\r\n",
        b"PROXY \r\nGET / HTTP/1.1\r\n",
        b"PROXY  TCP4 192.0.2.1 10.0.0.1 1 1\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1 \r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1\n" + b"x" * 100,
        b"PROXY TCP4 192.0.2.1 10.0.0.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 01 1\r\n",
        b"PROXY TCP4 192.0.2.256 10.0.0.1 1 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP6 192.0.2.1 10.0.0.1 1 1\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.1 1 1\r\n",
        b"PROXY UNKNOWN" + b"x" * 200 + b"\r\n",
        b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
        b"\r\n\r\n\0\r\nQUIX\n" + b"\0" * 100,
        second(0x11, 0x11, b"\0" * 12),
        second(0x22, 0x11, b"\0" * 12),
        second(0x21, 0x12, b"\0" * 12),
        second(0x21, 0x11, b"\0" * 11),
        second(0x21, 0x21, b"\0" * 12),
        second(0x21, 0x11, b"\0" * 5000),
    ],
)
def test_what_is_not_exactly_a_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        read(data)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda more: SIGNATURE + more))
def test_any_bytes_end_in_a_verdict_or_a_wish_for_more(data: bytes) -> None:
    header = ProxyHeader()
    try:
        while header.wants and data:
            size = header.wants
            header.feed(data[:size])
            data = data[size:]
    except BadProxyHeader:
        return
    assert header.wants >= 0
