"""The codec against another implementation: whatever it takes, h11 reads the same in what goes on.

Hypothesis begins with the corpus of odd messages and edits it. A short run is part of every test
run; `make fuzz` is a long one (ROUSE_FUZZ examples each). What it finds goes into the corpus.
"""

import os
from itertools import pairwise

import h11
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody, UntilClose
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.request import NO_FIELDS, RequestHead, scan_request
from gateway.ingress.codec.response import AnswerHead, Framing, scan_answer
from gateway.ingress.fields import Trust, answered_fields, forwarded_fields
from tests.gateway.ingress.corpus import Case
from tests.gateway.ingress.corpus.answers import ANSWERS
from tests.gateway.ingress.corpus.requests import REQUESTS, SMUGGLED

EXAMPLES = int(os.environ.get("ROUSE_FUZZ", "600"))
FUZZ = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
_LONGEST = 3000

_PIECES = st.one_of(
    st.sampled_from(
        [
            *(bytes([byte]) for byte in b"\r\n \t\0:,;0159aAfF\x0b\x0c\x7f\x85\xff+-_\"'"),
            b"\r\n",
            b"\r\n\r\n",
            b"\n\n",
            b"0\r\n\r\n",
            b"chunked",
            b"identity",
            b"Content-Length: 5\r\n",
            b"Content-Length: 0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: close\r\n",
            b"Connection: keep-alive, upgrade\r\nUpgrade: x\r\n",
            b"Expect: 100-continue\r\n",
            b"Trailer: a\r\n",
            b"HTTP/1.0",
            b"HTTP/1.1",
            b"HEAD ",
            SMUGGLED,
        ]
    ),
    st.binary(min_size=1, max_size=4),
)
_EDITS = st.lists(
    st.tuples(st.sampled_from("idrm"), st.floats(0, 1), st.integers(1, 12), _PIECES), max_size=4
)
_CUTS = st.lists(st.integers(0, _LONGEST), max_size=4)


def edited(data: bytes, edits: list[tuple[str, float, int, bytes]]) -> bytes:
    """Insert, delete, replace, or move to the end: where and how much as drawn."""
    for kind, where, size, piece in edits:
        at = int(where * len(data))
        gone = 0 if kind == "i" else size
        put = b"" if kind in "dm" else piece
        moved = data[at : at + gone] if kind == "m" else b""
        data = data[:at] + put + data[at + gone :] + moved
    return data


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


# Requests --------------------------------------------------------------------------------------

Read = tuple[bytes, bytes, bytes]
"""Method, target and body (as framed) of a request."""


def passed_on(parts: list[bytes]) -> tuple[bytes, list[Read], bool]:
    """What goes on of a connection's bytes, what we took it for, and whether it ended in a body."""
    known, buffer, out, seen = NO_FIELDS, b"", b"", list[Read]()
    head: RequestHead | None = None
    body: Body = NO_BODY
    content = b""
    for part in parts:
        buffer += part
        while True:
            try:
                if head is None:
                    head = scan_request(buffer, known)
                    if head is None:
                        break
                    known, buffer = head.fields, buffer[head.size :]
                    body, content = _body_of(head), b""
                    fields = forwarded_fields(known, Trust.CLIENT, b"1.2.3.4", b"http")
                    host = b"" if known.host else b"\r\nHost: none"
                    line = b"%b %b HTTP/1.1" % (head.method, head.target)
                    out += line + fields + host + b"\r\n\r\n"
                end = body.feed(buffer, 0)
            except Malformed:
                return out, seen, head is not None
            out, content, buffer = out + buffer[:end], content + buffer[:end], buffer[end:]
            if not body.is_done:
                break
            seen.append((head.method, head.target, content))
            if not head.keeps_alive:
                return out, seen, False
            head = None
    return out, seen, head is not None


def _body_of(head: RequestHead) -> Body:
    if head.fields.chunked:
        return ChunkedBody()
    return LengthBody(head.fields.length) if head.fields.length else NO_BODY


def read_by_h11(data: bytes) -> tuple[list[tuple[bytes, bytes, int]], str]:
    """Method, target and size of the body of each whole request, and what was wrong."""
    side = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    side.receive_data(data)
    seen: list[tuple[bytes, bytes, int]] = []
    method, target, size = b"", b"", 0
    try:
        while True:
            event = side.next_event()
            if isinstance(event, h11.Request):
                method, target, size = event.method, event.target, 0
            elif isinstance(event, h11.Data):
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                seen.append((method, target, size))
                side.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                side.send(h11.EndOfMessage())
                if side.our_state is not h11.DONE or side.their_state is not h11.DONE:
                    return seen, "" if not side.trailing_data[0] else "bytes after the last"
                side.start_next_cycle()
            else:
                return seen, ""
    except h11.RemoteProtocolError as error:
        return seen, str(error)


@FUZZ
@example(REQUESTS[0], [], [])
@given(st.sampled_from([case for case in REQUESTS if len(case.data) < _LONGEST]), _EDITS, _CUTS)
def test_what_goes_on_of_any_bytes_is_read_alike(
    case: Case, edits: list[tuple[str, float, int, bytes]], cuts: list[int]
) -> None:
    data = edited(case.data, edits)
    out, seen, is_cut = passed_on(pieces(data, cuts))
    read, wrong = read_by_h11(out)
    assert [(m, t) for m, t, _ in read] == [(m, t) for m, t, _ in seen], (out, wrong)
    assert is_cut or not wrong, (out, wrong)


@FUZZ
@given(st.sampled_from([case for case in REQUESTS if len(case.data) < _LONGEST]), _EDITS, _CUTS)
def test_no_split_changes_what_bytes_are_taken_for(
    case: Case, edits: list[tuple[str, float, int, bytes]], cuts: list[int]
) -> None:
    data = edited(case.data, edits)
    assert passed_on(pieces(data, cuts))[1] == passed_on([data])[1]


# Answers ---------------------------------------------------------------------------------------


def answered(data: bytes, method: bytes) -> tuple[AnswerHead, bytes, bool] | None:
    """The final head, its body as framed, and whether it is whole when the actor closes."""
    while True:
        try:
            head = scan_answer(data)
            if head is None:
                return None
            data = data[len(head.raw) :]
            if head.status < 200:
                if head.status == 101:
                    return None
                continue
            body: Body = NO_BODY
            framing = head.framing(method)
            if framing is Framing.LENGTH:
                body = LengthBody(head.length or 0)
            elif framing is not Framing.NONE:
                body = ChunkedBody() if framing is Framing.CHUNKED else UntilClose()
            end = body.feed(data, 0)
        except Malformed:
            return None
        return head, data[:end], body.ends_with_connection()


@FUZZ
@given(st.sampled_from([case for case in ANSWERS if len(case.data) < _LONGEST]), _EDITS)
def test_what_a_client_is_told_is_an_answer_to_others_too(
    case: Case, edits: list[tuple[str, float, int, bytes]]
) -> None:
    method = case.method
    told = answered(edited(case.data, edits), method)
    if told is None:
        return
    head, body, is_whole = told
    fields = answered_fields(head, is_hop=False, keep_wake=False)
    text = b"HTTP/1.1 %b%b\r\n\r\n" % (head.line, fields) + body
    side = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    side.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    side.send(h11.EndOfMessage())
    side.receive_data(text)
    side.receive_data(b"")
    response = side.next_event()
    assert isinstance(response, h11.Response) and response.status_code == head.status, text
    try:
        event = side.next_event()
        while isinstance(event, h11.Data):
            event = side.next_event()
        assert is_whole == isinstance(event, h11.EndOfMessage), text
    except h11.RemoteProtocolError:
        assert not is_whole, text
