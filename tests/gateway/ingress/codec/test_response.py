"""Response heads as transcripts, and how each frames its body."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.response import AnswerHead, Framing, scan_answer


def scan(text: bytes) -> AnswerHead:
    answer = scan_answer(text)
    assert answer is not None
    return answer


def test_a_plain_answer() -> None:
    answer = scan(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert (answer.status, answer.line, answer.length) == (200, b"200 OK", 2)
    assert answer.keeps_alive and answer.raw.endswith(b"\r\n\r\n")


def test_an_answer_that_is_not_complete_is_waited_for() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    assert all(scan_answer(text[:cut]) is None for cut in range(len(text)))


def test_an_equal_head_is_not_looked_at_again_and_a_longer_one_is() -> None:
    first = scan(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    assert scan_answer(first.raw + b"hi", first) is first
    other = scan_answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\n\r\n", first)
    assert other is not None and other is not first


@pytest.mark.parametrize(
    ("method", "text", "framing"),
    [
        (b"GET", b"200 OK\r\nContent-Length: 2", Framing.LENGTH),
        (b"GET", b"200 OK\r\nContent-Length: 0", Framing.LENGTH),
        (b"GET", b"200 OK\r\nTransfer-Encoding: chunked", Framing.CHUNKED),
        (b"GET", b"200 OK", Framing.UNTIL_CLOSE),
        (b"HEAD", b"200 OK\r\nContent-Length: 2", Framing.NONE),
        (b"HEAD", b"200 OK\r\nTransfer-Encoding: chunked", Framing.NONE),
        (b"GET", b"204 No Content", Framing.NONE),
        (b"GET", b"304 Not Modified\r\nContent-Length: 2", Framing.NONE),
        (b"GET", b"103 Early Hints", Framing.NONE),
    ],
)
def test_framing(method: bytes, text: bytes, framing: Framing) -> None:
    assert scan(b"HTTP/1.1 " + text + b"\r\n\r\n").framing(method) is framing


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: 1\n\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"hello\r\n\r\n",
    ],
)
def test_nonsense_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        scan_answer(text)


def test_an_absent_reason_phrase_is_forgiven() -> None:
    assert scan(b"HTTP/1.1 200\r\n\r\n").line == b"200 "
    assert scan(b"HTTP/1.1 200 \r\n\r\n").line == b"200 "


def test_http_1_0_closes_unless_it_says_otherwise() -> None:
    assert not scan(b"HTTP/1.0 200 OK\r\n\r\n").keeps_alive
    assert scan(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").keeps_alive
    assert not scan(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").keeps_alive


@given(st.integers(200, 599).filter(lambda s: s not in (204, 304)), st.integers(0, 10**9))
def test_what_h11_sends_is_read_as_h11_meant_it(status: int, length: int) -> None:
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    peer.next_event()
    text = peer.send(h11.Response(status_code=status, headers=[("Content-Length", str(length))]))
    assert text is not None
    answer = scan(text)
    assert (answer.status, answer.length) == (status, length)
