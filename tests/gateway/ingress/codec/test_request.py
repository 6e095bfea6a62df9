"""Request heads as transcripts: bytes in, what the relay knows of them out."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.codec.grammar import Fault, Malformed
from gateway.ingress.codec.request import NO_FIELDS, RequestHead, scan_request


def scan(text: bytes) -> RequestHead:
    head = scan_request(text)
    assert head is not None
    return head


def fault_of(text: bytes) -> Fault:
    with pytest.raises(Malformed) as caught:
        scan_request(text)
    return caught.value.fault


def test_a_plain_request() -> None:
    head = scan(b"GET /a?b=c HTTP/1.1\r\nHost: x.y:80\r\n\r\nnext")
    assert (head.method, head.target, head.minor, head.size) == (b"GET", b"/a?b=c", 1, 37)
    assert head.fields.host == b"x.y:80" and head.keeps_alive and not head.fields.has_body


def test_a_head_that_is_not_complete_is_waited_for() -> None:
    text = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    assert all(scan_request(text[:cut]) is None for cut in range(len(text)))
    assert scan(text).fields.length == 5


def test_an_equal_block_is_not_looked_at_again() -> None:
    first = scan(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    second = scan_request(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", first.fields)
    assert second is not None and second.fields is first.fields and second.target == b"/2"


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n Folded: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /# HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
        b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
    ],
)
def test_a70_what_could_be_read_in_two_ways_is_400(text: bytes) -> None:
    assert fault_of(text) is Fault.BAD


@pytest.mark.parametrize(
    "text",
    [
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    ],
)
def test_a70_what_http_1_1_does_not_have_is_501(text: bytes) -> None:
    assert fault_of(text) is Fault.NOT_IMPLEMENTED


def test_a34_a55_a_head_of_60_kib_passes_and_one_of_65_does_not() -> None:
    line = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: "
    assert scan(line + b"c" * 60_000 + b"\r\n\r\n").size > 60_000
    assert fault_of(line + b"c" * 66_000 + b"\r\n\r\n") is Fault.HEAD_TOO_LARGE
    assert fault_of(line + b"c" * 66_000) is Fault.HEAD_TOO_LARGE


def test_a70_a_target_of_16_kib_passes_and_a_longer_one_is_414() -> None:
    assert len(scan(b"GET /" + b"t" * 16_383 + b" HTTP/1.1\r\nHost: a\r\n\r\n").target) == 16_384
    assert fault_of(b"GET /" + b"t" * 16_384 + b" HTTP/1.1\r\nHost: a\r\n\r\n") is (
        Fault.TARGET_TOO_LONG
    )
    assert fault_of(b"GET /" + b"t" * 20_000) is Fault.TARGET_TOO_LONG


def test_an_absolute_target_becomes_a_path() -> None:
    assert scan(b"GET http://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n").target == b"/x?y"
    assert scan(b"GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n").target == b"/?y"
    assert scan(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target == b"*"


def test_http_1_0_needs_no_host_and_closes_unless_it_says_otherwise() -> None:
    assert not scan(b"GET / HTTP/1.0\r\n\r\n").keeps_alive
    assert scan(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive
    assert not scan(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").keeps_alive


def test_upgrade_counts_only_where_connection_names_it_and_never_to_h2c() -> None:
    def upgrade(fields: bytes) -> bytes:
        return scan(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n").fields.upgrade

    assert upgrade(b"Connection: Upgrade\r\nUpgrade: websocket\r\n") == b"websocket"
    assert upgrade(b"Upgrade: websocket\r\n") == b""
    assert upgrade(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n") == b""


def test_one_empty_line_before_a_request_is_forgiven() -> None:
    assert scan(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").size == 29
    assert scan_request(b"\r\n") is None


_TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).map("x-{}".format)
_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


@given(st.lists(st.tuples(_TOKENS, _VALUES), max_size=8), st.binary(max_size=20))
def test_what_h11_sends_is_read_as_h11_meant_it(
    fields: list[tuple[str, str]], after: bytes
) -> None:
    peer = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target="/p", headers=[("Host", "a.b"), *fields])
    text = peer.send(request)
    assert text is not None
    head = scan(text + after)
    assert (head.method, head.target, head.size) == (b"GET", b"/p", len(text))
    assert head.fields.block.count(b"\r\n") == len(fields) + 1


@given(st.binary(max_size=200))
def test_no_bytes_break_the_scanner_otherwise_than_by_malformed(noise: bytes) -> None:
    for text in (noise, b"GET / HTTP/1.1\r\nHost: a\r\n" + noise + b"\r\n\r\n"):
        try:
            head = scan_request(text, NO_FIELDS)
        except Malformed:
            continue
        assert head is None or head.size <= len(text)
