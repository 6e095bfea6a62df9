"""Shaping: where an answer's body ends, and in which framing it goes on to the client. No I/O."""

from typing import Final

from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody, UntilClose
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.response import AnswerHead, Framing
from gateway.ingress.fields import without_chunking

_AS_IS: Final = 0
_INTO_CHUNKS: Final = 1
"""Framed by close upstream: chunks let the client see whether it is whole (A79)."""
_OUT_OF_CHUNKS: Final = 2
"""An HTTP/1.0 client does not know chunks (RFC 9112, section 6.1)."""


class Shape:
    """Of one answer. `piece` is fed all that comes, in order."""

    __slots__ = ("_body", "_mode", "ends_by_close", "is_overfull", "size", "until_close")

    def __init__(self, body: Body, mode: int, *, until_close: bool, ends_by_close: bool) -> None:
        self._body = body
        self._mode = mode
        self.until_close = until_close
        """The actor ends it by closing."""
        self.ends_by_close = ends_by_close
        """The client will know its end by our close alone: an early one must be a reset."""
        self.size = 0
        """Bytes of the body that went through, as the actor framed them."""
        self.is_overfull = False
        """It went on after its end: this connection is not used again (R27)."""

    @property
    def is_done(self) -> bool:
        return self._body.is_done

    def piece(self, data: bytes, start: int) -> bytes:
        """What of `data` is the answer's body, as the client is to get it. Raises Malformed."""
        body = self._body
        end = body.feed(data, start)
        if end < len(data):
            self.is_overfull = True
            if body is not NO_BODY:
                # Which of the two it meant, nobody knows: the client must not take it for whole.
                raise Malformed("it goes on after its end")
        self.size += end - start
        if self._mode == _AS_IS:
            if start == 0 and end == len(data):
                return data
            return data[start:end]
        if self._mode == _INTO_CHUNKS:
            return b"%x\r\n%b\r\n" % (end - start, data[start:end]) if end > start else b""
        assert isinstance(body, ChunkedBody)
        return body.take_data()

    def edit(self, head: bytes) -> bytes:
        """`head`, which still lacks its last CRLFs, with the framing that the client gets."""
        if self._mode == _OUT_OF_CHUNKS:
            return without_chunking(head)
        if self._mode == _INTO_CHUNKS:
            return head + b"\r\nTransfer-Encoding: chunked"
        return head

    def last(self) -> bytes:
        """What is written when the actor's close has ended it."""
        return b"0\r\n\r\n" if self._mode == _INTO_CHUNKS else b""


def shape_of(answer: AnswerHead, method: bytes, minor: int) -> Shape:
    """`method` and `minor` are the request's."""
    framing = answer.framing(method)
    if framing is Framing.LENGTH:
        assert answer.length is not None
        body = LengthBody(answer.length)
        return Shape(body, _AS_IS, until_close=False, ends_by_close=False)
    if framing is Framing.NONE:
        return Shape(NO_BODY, _AS_IS, until_close=False, ends_by_close=False)
    if framing is Framing.CHUNKED:
        if minor:
            return Shape(ChunkedBody(), _AS_IS, until_close=False, ends_by_close=False)
        chunks = ChunkedBody(with_spans=True)
        return Shape(chunks, _OUT_OF_CHUNKS, until_close=False, ends_by_close=True)
    if minor:
        return Shape(UntilClose(), _INTO_CHUNKS, until_close=True, ends_by_close=False)
    return Shape(UntilClose(), _AS_IS, until_close=True, ends_by_close=True)
