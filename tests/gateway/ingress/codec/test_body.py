"""Bodies: any split of the bytes ends at the same place, and what is wrong is found in each."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody, UntilClose
from gateway.ingress.codec.grammar import Malformed


def feed_in_pieces(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """What belonged to the body, and what came after it."""
    mine, rest = b"", b""
    for piece in pieces:
        end = body.feed(piece, 0) if not body.is_done else 0
        mine, rest = mine + piece[:end], rest + piece[end:]
    return mine, rest


def cut(text: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges) if a < b]


_CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.binary(max_size=300), st.binary(max_size=50), _CUTS)
def test_a_length_ends_after_so_many_bytes(content: bytes, after: bytes, cuts: list[int]) -> None:
    body = LengthBody(len(content))
    assert feed_in_pieces(body, cut(content + after, cuts)) == (content, after)
    assert body.is_done and body.ends_with_connection()


@given(
    st.lists(st.binary(min_size=1, max_size=200), max_size=6),
    st.sampled_from([b"", b"X-Sum: 1\r\n", b"A: 1\r\nB:\r\n"]),
    st.sampled_from([b"", b";a=b", b'; q="x"']),
    st.binary(max_size=50),
    _CUTS,
)
def test_any_split_of_chunks_ends_at_the_same_place(
    chunks: list[bytes], trailers: bytes, extension: bytes, after: bytes, cuts: list[int]
) -> None:
    text = b"".join(b"%x%b\r\n%b\r\n" % (len(c), extension, c) for c in chunks)
    text += b"0\r\n" + trailers + b"\r\n"
    body = ChunkedBody(with_spans=True)
    assert feed_in_pieces(body, cut(text + after, cuts)) == (text, after)
    assert body.is_done and body.take_data() == b"".join(chunks)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=6), _CUTS)
def test_what_h11_sends_in_chunks_is_what_comes_out(chunks: list[bytes], cuts: list[int]) -> None:
    peer = h11.Connection(h11.CLIENT)
    peer.send(
        h11.Request(
            method="POST", target="/", headers=[("Host", "a"), ("Transfer-Encoding", "chunked")]
        )
    )
    text = b"".join(peer.send(h11.Data(data=c)) or b"" for c in chunks)
    text += peer.send(h11.EndOfMessage()) or b""
    body = ChunkedBody(with_spans=True)
    assert feed_in_pieces(body, cut(text, cuts)) == (text, b"")
    assert body.take_data() == b"".join(chunks)


@pytest.mark.parametrize(
    "text",
    [
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b" 1\r\na\r\n",
        b"1 \r\na\r\n",
        b"1_0\r\na\r\n",
        b"\r\n",
        b"1\na\n0\n\n",
        b"1;a\nb\r\na\r\n",
        b"1;\x00\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"f" * 16 + b"\r\n",
        b"1;" + b"e" * 2000 + b"\r\n",
        b"0\r\nbad trailer\r\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nTransfer-encoding: chunked\r\n\r\n",
        b"0\r\nRouse-Actor: a/b\r\n\r\n",
        b"0\r\n A: folded\r\n\r\n",
        b"0\r\nA: " + b"t" * 9000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 100_000])
def test_chunks_that_two_parsers_could_read_differently_are_refused(text: bytes, size: int) -> None:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    with pytest.raises(Malformed):
        feed_in_pieces(ChunkedBody(), pieces)


def test_a79_a_body_cut_short_is_never_taken_for_whole() -> None:
    length, chunks, close = LengthBody(3), ChunkedBody(), UntilClose()
    for body, text in ((length, b"ab"), (chunks, b"2\r\nab\r\n0\r\n"), (close, b"ab")):
        assert body.feed(text, 0) == len(text)
    assert not length.ends_with_connection() and not chunks.ends_with_connection()
    assert close.ends_with_connection() and NO_BODY.ends_with_connection()
    assert NO_BODY.feed(b"next", 0) == 0


@pytest.mark.parametrize(
    "pieces",
    [
        (b"0\r\n", b"\nGET /smuggled HTTP/1.1\nHost: a\n\n"),
        (b"0\r\n", b"\n"),
        (b"0\r\nA: b", b"\n"),
        (b"0\r\nA: b\r", b"c"),
        (b"0\r\nA: b\r\nGET / HTTP/1.1\r", b"\n"),
        (b"5;a", b"\rb"),
        (b"5", b" "),
        (b"", b"x"),
    ],
)
def test_a_piece_that_can_begin_no_good_line_does_not_go_on_while_the_line_is_unfinished(
    pieces: tuple[bytes, bytes],
) -> None:
    """A laxer reader behind us would take `0 CRLF LF` for the end, and what follows for another
    request."""
    body = ChunkedBody()
    if pieces[0]:
        assert body.feed(pieces[0], 0) == len(pieces[0])
    with pytest.raises(Malformed):
        body.feed(pieces[1], 0)
