"""Messages between HTTP/1.1 and HTTP/2; that both ends agree on the rest is test_http2's."""

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from gateway.egress.crossing import Answer, GoAways, request_of
from gateway.ingress.codec.body import ChunkedBody, LengthBody
from gateway.ingress.codec.grammar import Malformed


def test_a_request_crosses_with_its_host_as_authority_and_its_framing_as_a_body() -> None:
    fields, body = request_of(
        b"POST /x?y HTTP/1.1\r\nhost: a.test:8443\r\ncontent-length: 3\r\nx-a: b", b"https"
    )
    assert fields == [
        (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a.test:8443"),
        (b":path", b"/x?y"), (b"content-length", b"3"), (b"x-a", b"b"),
    ]  # fmt: skip
    assert isinstance(body, LengthBody) and body.remaining == 3
    fields, body = request_of(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked", b"https")
    assert isinstance(body, ChunkedBody) and len(fields) == 4
    assert request_of(b"GET / HTTP/1.1\r\nhost: a", b"https")[1].is_done
    with pytest.raises(Malformed, match="another protocol"):
        request_of(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x", b"https")


def test_an_answer_is_framed_by_its_length_or_by_chunks() -> None:
    answer = Answer(b"GET")
    head = answer.head([(b":status", b"200"), (b"content-length", b"2")], is_last=False)
    assert head == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    assert answer.data(b"ab") + answer.end([(b"grpc-status", b"0")]) == b"ab"
    answer = Answer(b"POST")
    assert answer.head([(b":status", b"200")], is_last=False).endswith(
        b"\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    assert answer.data(b"abc") + answer.data(b"") == b"3\r\nabc\r\n"
    assert answer.end([(b"grpc-status", b"0")]) == b"0\r\ngrpc-status: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "status", "is_last", "framing"),
    [
        (b"GET", b"200", True, b"content-length: 0\r\n"),
        (b"HEAD", b"200", True, b""),
        (b"GET", b"204", True, b""),
        (b"GET", b"304", True, b""),
        (b"GET", b"103", False, b""),
    ],
)
def test_answers_without_a_body(
    method: bytes, status: bytes, is_last: bool, framing: bytes
) -> None:
    answer = Answer(method)
    head = answer.head([(b":status", status), (b"x", b"y")], is_last=is_last)
    assert head.partition(b"x: y\r\n")[2] == framing + b"\r\n" and answer.end() == b""


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"x", b"y")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b"x", b"y"), (b":status", b"200")],
        [(b":status", b"20")],
        [(b":status", b"101")],
        [(b":status", b"200\r\n")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"200"), (b"X", b"y")],
        [(b":status", b"200"), (b"x y", b"z")],
        [(b":status", b"200"), (b"x: y\r\nz", b"")],
        [(b":status", b"200"), (b"x", b"y\r\nset-cookie: z")],
        [(b":status", b"200"), (b"x", b"y\nz")],
        [(b":status", b"200"), (b"x", b"y\0")],
        [(b":status", b"200"), (b"x", b" y")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"connection", b"close")],
    ],
)
def test_what_http_1_could_read_otherwise_does_not_cross(
    fields: list[tuple[bytes, bytes]],
) -> None:
    with pytest.raises(Malformed):
        Answer(b"GET").head(fields, is_last=True)
    chunked = Answer(b"GET")
    chunked.head([(b":status", b"200")], is_last=False)
    if fields and fields[0] == (b":status", b"200"):
        with pytest.raises(Malformed):
            chunked.end(fields[1:])


def test_goaway_is_taken_out_wherever_the_pieces_are_cut() -> None:
    ping, data = PingFrame(0, b"12345678").serialize(), DataFrame(1, b"x" * 50).serialize()
    whole = ping + GoAwayFrame(0, last_stream_id=7).serialize() + data
    whole += GoAwayFrame(0, last_stream_id=3, additional_data=b"why").serialize() + ping
    for size in (1, 2, 7, 9, 10, 30, len(whole)):
        goaways = GoAways()
        pieces = [goaways.feed(whole[at : at + size]) for at in range(0, len(whole), size)]
        assert b"".join(pieces) == ping + data + ping, size
        assert goaways.last_stream == 3
