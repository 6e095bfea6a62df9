"""How an answer's body goes on: framing by framing, bytes in and bytes out."""

import pytest

from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.response import scan_answer
from gateway.ingress.shaping import Shape, shape_of

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


def shape(head: bytes, method: bytes = b"GET", minor: int = 1) -> Shape:
    answer = scan_answer(head)
    assert answer is not None
    return shape_of(answer, method, minor)


def test_a_body_with_a_length_passes_as_it_is_and_is_done_at_its_end() -> None:
    body = shape(LENGTH)
    whole = b"hel"
    assert body.piece(whole, 0) is whole and not body.is_done
    assert body.piece(b"--lo", 2) == b"lo" and body.is_done and body.size == 5


def test_r27_what_comes_after_the_end_breaks_it_and_the_connection_is_not_used_again() -> None:
    body = shape(LENGTH)
    with pytest.raises(Malformed, match="after its end"):
        body.piece(b"hello HTTP/1.1 200", 0)
    assert body.is_overfull


@pytest.mark.parametrize(
    ("head", "method"), [(LENGTH, b"HEAD"), (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET")]
)
def test_an_answer_without_body_drops_what_comes_all_the_same(head: bytes, method: bytes) -> None:
    body = shape(head, method)
    assert body.is_done and not body.is_overfull
    assert body.piece(b"hello", 0) == b"" and body.is_overfull


def test_a79_until_close_becomes_chunks_so_that_the_client_sees_whether_it_is_whole() -> None:
    body = shape(CLOSE)
    assert body.edit(b"HTTP/1.1 200 OK") == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
    assert body.piece(b"", 0) == b"" and body.piece(b"hello", 0) == b"5\r\nhello\r\n"
    assert body.until_close and not body.ends_by_close and body.last() == b"0\r\n\r\n"


def test_a79_to_http_1_0_it_stays_until_close_and_only_a_reset_tells_a_break() -> None:
    body = shape(CLOSE, minor=0)
    assert body.piece(b"hello", 0) == b"hello" and body.last() == b""
    assert body.until_close and body.ends_by_close


def test_chunks_are_taken_apart_for_http_1_0() -> None:
    body = shape(CHUNKS, minor=0)
    assert body.edit(CHUNKS[:-4]) == b"HTTP/1.1 200 OK" and body.ends_by_close
    assert body.piece(b"3\r\nhel\r\n2\r", 0) == b"hel"
    assert body.piece(b"\nlo\r\n0\r\n\r\n", 0) == b"lo" and body.is_done


def test_chunks_pass_as_they_are_to_http_1_1() -> None:
    body = shape(CHUNKS)
    assert body.edit(b"head") == b"head" and not body.ends_by_close
    text = b"3\r\nhel\r\n0\r\n\r\n"
    assert body.piece(text, 0) is text and body.is_done
