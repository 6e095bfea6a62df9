"""Odd answers, by family: how a server may say where its answer ends, and how it may lie.

After `data` the server closes, except in the family `open`, where it keeps the connection.
"""

from collections.abc import Iterator

from tests.gateway.ingress.corpus import Case, unique

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
"""A second answer, which no request asked for."""


def _case(family: str, name: str, data: bytes, passes: int | None, method: bytes = b"GET") -> Case:
    return Case(
        family=f"answer {family}", name=name, data=data, passes=passes, status=502, method=method
    )


def _whole() -> Iterator[Case]:
    for method in (b"GET", b"HEAD", b"POST", b"OPTIONS"):
        body = b"" if method == b"HEAD" else b"hello"
        name = method.decode()
        yield _case("whole", f"{name}-length", _OK + b"Content-Length: 5\r\n\r\n" + body, 1, method)
        chunks = b"" if method == b"HEAD" else b"5\r\nhello\r\n0\r\n\r\n"
        yield _case("whole", f"{name}-chunks", _CHUNKED + chunks, 1, method)
        yield _case("whole", f"{name}-until-close", _OK + b"\r\n" + body, 1, method)
        yield _case("whole", f"{name}-empty", _OK + b"Content-Length: 0\r\n\r\n", 1, method)
    for status in (201, 301, 400, 404, 418, 500, 503, 599):
        data = b"HTTP/1.1 %d Some Reason\r\nContent-Length: 2\r\n\r\nhi" % status
        yield _case("whole", f"status-{status}", data, 1)
    for status in (204, 304):
        yield _case("whole", f"status-{status}", b"HTTP/1.1 %d No\r\n\r\n" % status, 1)
    yield _case("whole", "304-with-length", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", 1)
    yield _case("whole", "no-reason", b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", 1)
    yield _case("whole", "no-space", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 1)
    yield _case("whole", "http-1.0", b"HTTP/1.0 200 OK\r\n\r\nhello", 1)
    yield _case("whole", "http-1.0-length", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1)
    yield _case("whole", "trailer", _CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\n\r\n", 1)
    yield _case("whole", "extension", _CHUNKED + b"2;a=b\r\nhi\r\n0\r\n\r\n", 1)
    yield _case(
        "whole", "cookies", _OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n", 1
    )
    yield _case(
        "whole", "connection-close", _OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 1
    )
    yield _case("whole", "8-bit-value", _OK + b"X: caf\xe9\r\nContent-Length: 2\r\n\r\nhi", 1)
    yield _case(
        "whole", "upper-chunked", _OK + b"Transfer-Encoding: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 1
    )


def _interim() -> Iterator[Case]:
    end = _OK + b"Content-Length: 2\r\n\r\nhi"
    yield _case("interim", "100", b"HTTP/1.1 100 Continue\r\n\r\n" + end, 1)
    yield _case("interim", "103", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + end, 1)
    yield _case("interim", "102-twice", b"HTTP/1.1 102 Processing\r\n\r\n" * 2 + end, 1)
    yield _case(
        "interim", "100-with-length", b"HTTP/1.1 100 Go\r\nContent-Length: 9\r\n\r\n" + end, 1
    )
    yield _case(
        "interim",
        "101-unasked",
        b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + end,
        0,
    )
    yield _case("interim", "a-flood", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000 + end, 0)
    yield _case("interim", "only", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0)


def _short() -> Iterator[Case]:
    yield _case("short", "nothing", b"", 0)
    yield _case("short", "half-a-line", b"HTTP/1.1 20", 0)
    yield _case("short", "half-a-head", _OK + b"Content-Len", 0)
    yield _case("short", "head-without-end", _OK + b"Content-Length: 5\r\n", 0)
    yield _case("short", "length-no-body", _OK + b"Content-Length: 5\r\n\r\n", 0)
    yield _case("short", "length-half-a-body", _OK + b"Content-Length: 5\r\n\r\nhe", 0)
    for name, body in {
        "no-chunk": b"",
        "half-a-size": b"5",
        "size-only": b"5\r\n",
        "half-a-chunk": b"5\r\nhe",
        "no-crlf": b"5\r\nhello",
        "no-last": b"5\r\nhello\r\n",
        "half-a-last": b"5\r\nhello\r\n0",
        "last-without-end": b"5\r\nhello\r\n0\r\n",
        "trailer-without-end": b"5\r\nhello\r\n0\r\nA: b\r\n",
        "last-half-end": b"5\r\nhello\r\n0\r\n\r",
    }.items():
        yield _case("short", f"chunks-{name}", _CHUNKED + body, 0)


def _long() -> Iterator[Case]:
    """More than was said: the end that looks whole is a lie, so the client must not see one. Where
    there is no body at all (HEAD, 204, 304), nothing of the answer can be missing: it passes, and
    only the connection is given up. No later request gets what was left over."""
    for name, more in {"bytes": b"more", "an-answer": EVIL, "a-lot": b"x" * 200_000}.items():
        length = _OK + b"Content-Length: 2\r\n\r\nhi"
        yield _case("long", f"length-{name}", length + more, 0)
        yield _case("long", f"chunks-{name}", _CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + more, 0)
        yield _case("long", f"zero-{name}", _OK + b"Content-Length: 0\r\n\r\n" + more, 0)
        yield _case("long", f"204-{name}", b"HTTP/1.1 204 No\r\n\r\n" + more, 1)
        yield _case("long", f"304-{name}", b"HTTP/1.1 304 No\r\n\r\n" + more, 1)
        yield _case("long", f"head-{name}", _OK + b"Content-Length: 5\r\n\r\n" + more, 1, b"HEAD")
        with_length = b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"
        yield _case("long", f"204-length-{name}", with_length + more, None)


def _framing() -> Iterator[Case]:
    for name, fields in {
        "both": b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        "both-te-first": b"Transfer-Encoding: chunked\r\nContent-Length: 2",
        "lengths-differ": b"Content-Length: 2\r\nContent-Length: 9",
        "length-list": b"Content-Length: 2, 9",
        "length-minus": b"Content-Length: -2",
        "length-plus": b"Content-Length: +2",
        "length-hex": b"Content-Length: 0x2",
        "length-empty": b"Content-Length:",
        "length-huge": b"Content-Length: " + b"9" * 30,
        "identity": b"Transfer-Encoding: identity",
        "gzip": b"Transfer-Encoding: gzip",
        "gzip-chunked": b"Transfer-Encoding: gzip, chunked",
        "chunked-twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "chunked-gzip": b"Transfer-Encoding: chunked, gzip",
        "te-space": b"Transfer-Encoding : chunked",
        "te-vt": b"Transfer-Encoding:\x0bchunked",
        "te-folded": b"Transfer-Encoding:\r\n chunked",
        "connection-names-length": b"Connection: content-length\r\nContent-Length: 2",
    }.items():
        yield _case("framing", name, _OK + fields + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 0)
    chunked_10 = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    yield _case("framing", "http-1.0-chunks", chunked_10, 0)
    for name, body in {
        "not-hex": b"z\r\nhi\r\n0\r\n\r\n",
        "0x": b"0x2\r\nhi\r\n0\r\n\r\n",
        "minus": b"-2\r\nhi\r\n0\r\n\r\n",
        "overflow": b"10000000000000002\r\nhi\r\n0\r\n\r\n",
        "size-lf": b"2\nhi\r\n0\r\n\r\n",
        "data-lf": b"2\r\nhi\n0\r\n\r\n",
        "too-long": b"2\r\nhi!\r\n0\r\n\r\n",
        "end-lf": b"2\r\nhi\r\n0\n\n",
        "trailer-length": b"2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n",
        "trailer-no-field": b"2\r\nhi\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
    }.items():
        yield _case("framing", f"chunk-{name}", _CHUNKED + body, 0)


def _head() -> Iterator[Case]:
    end = b"Content-Length: 2\r\n\r\nhi"
    for name, line in {
        "http-0.9": b"hello",
        "http-2": b"HTTP/2 200 OK",
        "lower": b"http/1.1 200 OK",
        "status-2-digits": b"HTTP/1.1 20 OK",
        "status-4-digits": b"HTTP/1.1 2000 OK",
        "status-text": b"HTTP/1.1 OK",
        "status-0": b"HTTP/1.1 000 No",
        "status-minus": b"HTTP/1.1 -20 No",
        "two-spaces": b"HTTP/1.1  200 OK",
        "tab": b"HTTP/1.1\t200 OK",
        "nul-in-reason": b"HTTP/1.1 200 O\0K",
        "cr-in-reason": b"HTTP/1.1 200 O\rK",
        "ssh": b"SSH-2.0-OpenSSH_9.9",
    }.items():
        yield _case("head", name, line + b"\r\n" + end, 0)
    for name, field in {
        "space-before-colon": b"X : a",
        "folded": b"X: a\r\n b",
        "nul": b"X: a\0b",
        "bare-cr": b"X: a\rb",
        "bare-lf": b"X: a\nb",
        "no-colon": b"X",
        "no-name": b": a",
        "8-bit-name": b"X\xe9: a",
        "lf-splits": b"X: a\nSet-Cookie: b=c",
        "cr-splits": b"X: a\rSet-Cookie: b=c",
        "too-long": b"X: " + b"a" * 70_000,
        "too-many": b"X: a\r\n" * 300 + b"X: a",
    }.items():
        yield _case("head", name, _OK + field + b"\r\n" + end, 0)
    yield _case("head", "lf-only", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", 0)
    yield _case("head", "empty-line-first", b"\r\n" + _OK + end, 0)


def _open() -> Iterator[Case]:
    """The server keeps the connection: the end has to be known from the framing."""
    yield _case("open", "length", _OK + b"Content-Length: 2\r\n\r\nhi", 1)
    yield _case("open", "chunks", _CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", 1)
    yield _case("open", "204", b"HTTP/1.1 204 No\r\n\r\n", 1)
    yield _case("open", "304", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", 1)
    yield _case("open", "head", _OK + b"Content-Length: 5\r\n\r\n", 1, b"HEAD")
    yield _case("open", "head-chunks", _CHUNKED, 1, b"HEAD")
    yield _case("open", "length-and-more", _OK + b"Content-Length: 2\r\n\r\nhi" + EVIL, 0)
    yield _case("open", "head-and-more", _OK + b"Content-Length: 5\r\n\r\nhello" + EVIL, 1, b"HEAD")
    yield _case("open", "204-and-more", b"HTTP/1.1 204 No\r\n\r\n" + EVIL, 1)


ANSWERS = unique([*_whole(), *_interim(), *_short(), *_long(), *_framing(), *_head(), *_open()])
