"""Several hundred odd requests, by the family of confusion that each belongs to.

Most families are one trick in the many spellings in which parsers were seen to differ. `SMUGGLED`
is the request that an attacker hopes to get past a proxy; no case may let it through on its own
unless it says so by its number.
"""

from collections.abc import Iterator

from tests.gateway.ingress.corpus import HOST, Case, unique

SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
_CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
_CONTROLS = {"nul": 0, "vt": 11, "ff": 12, "bs": 8, "esc": 27, "del": 127, "cr": 13, "us": 31}


def _request(line: bytes, fields: bytes = b"", body: bytes = b"") -> bytes:
    return line + b"\r\n" + HOST + fields + b"\r\n" + body


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return _request(b"POST /first HTTP/1.1", fields, body)


def _get(fields: bytes, body: bytes = b"") -> bytes:
    return _request(b"GET /first HTTP/1.1", fields, body)


def _plain() -> Iterator[Case]:
    def case(name: str, data: bytes, passes: int = 1) -> Case:
        return Case(family="plain", name=name, data=data, passes=passes)

    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"):
        yield case(f"{method.decode()}-without-body", _request(method + b" /first HTTP/1.1"))
        length = _request(method + b" /first HTTP/1.1", b"Content-Length: 5\r\n", b"hello")
        yield case(f"{method.decode()}-with-length", length)
        chunked = _request(method + b" /first HTTP/1.1", b"Transfer-Encoding: chunked\r\n", _CHUNKS)
        yield case(f"{method.decode()}-with-chunks", chunked)
    yield case("two-at-once", _get(b"") + _get(b""), 2)
    yield case("ten-at-once", _get(b"") * 10, 10)
    yield case("post-then-get", _post(b"Content-Length: 5\r\n", b"hello") + _get(b""), 2)
    yield case("chunks-then-get", _post(b"Transfer-Encoding: chunked\r\n", _CHUNKS) + _get(b""), 2)
    yield case("close-then-more", _get(b"Connection: close\r\n") + SMUGGLED, 1)
    yield case("empty-line-first", b"\r\n" + _get(b""))
    yield case("lowercase-field-names", b"GET / HTTP/1.1\r\n" + HOST.lower() + b"\r\n")
    yield case("no-space-after-colon", b"GET / HTTP/1.1\r\n" + HOST.replace(b": ", b":") + b"\r\n")
    yield case("http-1.0", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
    yield case(
        "http-1.0-keep-alive", b"GET / HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n"
    )
    yield case("http-1.0-then-more", b"GET / HTTP/1.0\r\n" + HOST + b"\r\n" + SMUGGLED, 1)
    yield case("empty-value", _get(b"X-Empty:\r\n"))
    yield case("latin-1-value", _get(b"X-Old: caf\xe9\r\n"))
    yield case("utf-8-value", _get("X-New: \N{SNOWMAN}\r\n".encode()))
    yield case("tab-in-value", _get(b"X-Tab: a\tb\r\n"))
    yield case("spaces-round-value", _get(b"X-Wide: \t  a  \t\r\n"))
    yield case("unknown-method", _request(b"BREW /first HTTP/1.1"))
    yield case("head-of-32k", _get(b"X-Long: " + b"a" * 31_000 + b"\r\n"))
    yield case("cookie-twice", _get(b"Cookie: a=1\r\nCookie: b=2\r\n"))


# What may stand where a number should.
_LENGTHS = {
    "plus": b"+5",
    "minus": b"-5",
    "hex": b"0x5",
    "empty": b"",
    "space": b" ",
    "float": b"5.0",
    "word": b"five",
    "twice": b"5, 5",
    "two": b"5, 6",
    "comma": b"5,",
    "comma-first": b",5",
    "spaced": b"5 5",
    "under": b"1_0",
    "exp": b"1e1",
    "huge": b"9" * 30,
    "2-to-the-64": b"18446744073709551621",
    "quoted": b'"5"',
    "semicolon": b"5;a=b",
    "latin-digit": b"\xb2",
    "full-width": "\N{FULLWIDTH DIGIT FIVE}".encode(),
    "arabic": "\N{ARABIC-INDIC DIGIT FIVE}".encode(),
    "tab-inside": b"5\t0",
    "minus-zero": b"-0",
    "plus-zero": b"+0",
}


def _lengths() -> Iterator[Case]:
    for name, value in _LENGTHS.items():
        data = _post(b"Content-Length: " + value + b"\r\n", b"hello" + SMUGGLED)
        yield Case(family="CL", name=name, data=data, passes=0)
    for name, fields in {
        "twice-equal": b"Content-Length: 5\r\nContent-Length: 5\r\n",
        "twice-differing": b"Content-Length: 5\r\nContent-Length: 0\r\n",
        "twice-other-case": b"Content-Length: 5\r\ncontent-length: 6\r\n",
        "empty-and-good": b"Content-Length:\r\nContent-Length: 5\r\n",
    }.items():
        yield Case(family="CL", name=name, data=_post(fields, b"hello" + SMUGGLED), passes=0)
    for name, value in {"leading-zeros": b"0005", "tabbed": b"\t5\t"}.items():
        data = _post(b"Content-Length: " + value + b"\r\n", b"hello") + _get(b"")
        yield Case(family="CL", name=name, data=data, passes=2)
    # A spelling that is another field, to us as to the actor: there is no body, and what follows
    # is read as a request (or as nonsense) by both.
    for name, field in {"underscore": b"Content_Length: 5", "x": b"X-Content-Length: 5"}.items():
        yield Case(family="CL", name=name, data=_post(field + b"\r\n") + _get(b""), passes=2)


def _cl_zero() -> Iterator[Case]:
    for method in (b"GET", b"POST", b"HEAD", b"OPTIONS", b"DELETE", b"BREW"):
        line = method + b" /first HTTP/1.1"
        name = method.decode()
        # Framed as it says: the second request is the body, never a request.
        inside = _request(line, b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED)
        yield Case(family="CL.0", name=f"{name}-body-is-a-request", data=inside, passes=1)
        none = _request(line, b"Content-Length: 0\r\n", _get(b""))
        yield Case(family="CL.0", name=f"{name}-zero-then-request", data=none, passes=2)
        # The body is cut off: one request that never becomes whole.
        cut = _request(line, b"Content-Length: 1000\r\n", SMUGGLED)
        yield Case(family="CL.0", name=f"{name}-body-is-cut", data=cut, passes=None)
    path = b"POST /static/logo.png HTTP/1.1"
    data = _request(path, b"Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED)
    yield Case(family="CL.0", name="static-path", data=data, passes=1)
    expects = _post(b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED)
    yield Case(family="CL.0", name="expect-100", data=expects, passes=1)
    odd = _post(b"Expect: y 100-continue\r\nContent-Length: %d\r\n" % len(SMUGGLED), SMUGGLED)
    yield Case(family="CL.0", name="expect-obfuscated", data=odd, passes=None)


def _cl_te() -> Iterator[Case]:
    """Content-Length and Transfer-Encoding together, in either order and either meaning."""
    body = b"0\r\n\r\n" + SMUGGLED
    lengths = {"short": b"5", "whole": b"%d" % len(body), "zero": b"0", "bad": b"x"}
    for name, length in lengths.items():
        cl = b"Content-Length: " + length + b"\r\n"
        te = b"Transfer-Encoding: chunked\r\n"
        yield Case(family="CL.TE", name=f"cl-first-{name}", data=_post(cl + te, body), passes=0)
        yield Case(family="CL.TE", name=f"te-first-{name}", data=_post(te + cl, body), passes=0)
        apart = cl + b"X-Between: " + b"a" * 2000 + b"\r\n" + te
        yield Case(family="CL.TE", name=f"far-apart-{name}", data=_post(apart, body), passes=0)


# Transfer-Encoding as parsers have been seen to misread it. Each stands alone here and beside a
# Content-Length in the family below.
_CODINGS = {
    "identity": b"identity",
    "xchunked": b"xchunked",
    "chunkedx": b"chunkedx",
    "quoted": b'"chunked"',
    "comma": b"chunked,",
    "comma-first": b",chunked",
    "twice": b"chunked, chunked",
    "gzip-last": b"chunked, gzip",
    "gzip-first": b"gzip, chunked",
    "identity-last": b"chunked, identity",
    "identity-first": b"identity, chunked",
    "parameter": b"chunked;a=b",
    "empty": b"",
    "cow": b"cow",
    "cow-first": b"cow, chunked",
    "split": b"chu nked",
    "long-s": "chun\N{KELVIN SIGN}ed".encode(),
    "8-bit": b"chunked\xff",
    "tab-inside": b"chun\tked",
    "question": b"chunked?",
}
_TE_LINES = {
    "space-before-colon": b"Transfer-Encoding : chunked",
    "tab-before-colon": b"Transfer-Encoding\t: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded-tab": b"Transfer-Encoding:\r\n\tchunked",
    "leading-space": b" Transfer-Encoding: chunked",
    "nul-in-name": b"Transfer\0-Encoding: chunked",
    "nul-in-value": b"Transfer-Encoding: chunked\0",
    "vt": b"Transfer-Encoding:\x0bchunked",
    "ff": b"Transfer-Encoding:\x0cchunked",
    "bare-cr": b"Transfer-Encoding: chunked\rX: y",
    "bare-lf": b"X: y\nTransfer-Encoding: chunked",
    "bare-cr-before": b"X: y\rTransfer-Encoding: chunked",
    "cr-in-value": b"Transfer-Encoding:\rchunked",
    "8-bit-name": b"Transfer-Encoding\xff: chunked",
    "colon-first": b":Transfer-Encoding: chunked",
    "nbsp": b"Transfer-Encoding:\xa0chunked",
    "two-fields": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "two-fields-back": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "twice-chunked": b"Transfer-Encoding: chunked\r\nTransfer-encoding: chunked",
    "cow-and-chunked": b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    "connection-names-it": b"Transfer-Encoding: chunked\r\nConnection: close, transfer-encoding",
}
_OTHER_FIELDS = {
    "underscore": b"Transfer_Encoding: chunked",
    "no-dash": b"TransferEncoding: chunked",
    "x": b"X-Transfer-Encoding: chunked",
    "te": b"TE: chunked",
    "in-a-value": b"X: y Transfer-Encoding: chunked",
    "dot": b"Transfer.Encoding: chunked",
}


def _te_te() -> Iterator[Case]:
    for name, coding in _CODINGS.items():
        data = _post(b"Transfer-Encoding: " + coding + b"\r\n", b"0\r\n\r\n" + SMUGGLED)
        yield Case(family="TE.TE", name=name, data=data, passes=0, status=501)
    for name, line in _TE_LINES.items():
        data = _post(line + b"\r\n", b"0\r\n\r\n" + SMUGGLED)
        status = (
            501
            if name in ("nbsp", "two-fields", "two-fields-back", "twice-chunked", "cow-and-chunked")
            else 400
        )
        yield Case(family="TE.TE", name=name, data=data, passes=0, status=status)
    for name, line in _OTHER_FIELDS.items():
        yield Case(family="TE.TE", name=name, data=_post(line + b"\r\n") + _get(b""), passes=2)
    for name, case in {
        "upper": b"CHUNKED",
        "mixed": b"ChUnKeD",
        "spaces": b" \tchunked\t ",
    }.items():
        data = _post(b"Transfer-Encoding: " + case + b"\r\n", _CHUNKS) + _get(b"")
        yield Case(family="TE.TE", name=name, data=data, passes=2)


def _te_cl() -> Iterator[Case]:
    """The chunks hide a request from who reads the length, and the reverse."""
    hidden = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    for name, coding in _CODINGS.items():
        fields = b"Content-Length: 4\r\nTransfer-Encoding: " + coding + b"\r\n"
        yield Case(family="TE.CL", name=name, data=_post(fields, hidden), passes=0)
    for name, line in _TE_LINES.items():
        data = _post(b"Content-Length: 4\r\n" + line + b"\r\n", hidden)
        yield Case(family="TE.CL", name=name, data=data, passes=0)
    for name, line in _OTHER_FIELDS.items():
        data = _post(b"Content-Length: 4\r\n" + line + b"\r\n", b"abcd") + _get(b"")
        yield Case(family="TE.CL", name=name, data=data, passes=2)
    alone = _post(b"Transfer-Encoding: chunked\r\n", hidden)
    yield Case(family="TE.CL", name="chunk-is-a-request", data=alone, passes=1)
    old = b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + hidden
    yield Case(family="TE.CL", name="http-1.0", data=old, passes=0)
    both = (
        b"POST / HTTP/1.0\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    yield Case(family="TE.CL", name="http-1.0-both", data=both + hidden, passes=0)


def _chunks() -> Iterator[Case]:
    bad = {
        "no-hex": b"z\r\nhello\r\n0\r\n\r\n",
        "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
        "plus": b"+5\r\nhello\r\n0\r\n\r\n",
        "minus": b"-5\r\nhello\r\n0\r\n\r\n",
        "empty-size": b"\r\nhello\r\n0\r\n\r\n",
        "space-first": b" 5\r\nhello\r\n0\r\n\r\n",
        "under": b"1_0\r\nhello\r\n0\r\n\r\n",
        "16-digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
        "2-to-the-64": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        "size-lf": b"5\nhello\r\n0\r\n\r\n",
        "size-cr": b"5\rhello\r\n0\r\n\r\n",
        "data-lf": b"5\r\nhello\n0\r\n\r\n",
        "data-cr": b"5\r\nhello\r0\r\n\r\n",
        "too-long": b"5\r\nhello!\r\n0\r\n\r\n",
        "too-short": b"5\r\nhell\r\n0\r\n\r\n",
        "no-crlf-after": b"5\r\nhello0\r\n\r\n",
        "double-crlf": b"5\r\nhello\r\n\r\n0\r\n\r\n",
        "end-lf": b"5\r\nhello\r\n0\n\n",
        "end-lf-mixed": b"5\r\nhello\r\n0\r\n\n",
        "nul-size": b"5\0\r\nhello\r\n0\r\n\r\n",
        "tab-size": b"\t5\r\nhello\r\n0\r\n\r\n",
        "comma": b"5,5\r\nhello\r\n0\r\n\r\n",
        "extension-lf": b"5;a\nhello\r\n0\r\n\r\n",
        "extension-cr": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "extension-nul": b"5;a\0\r\nhello\r\n0\r\n\r\n",
        "extension-huge": b"5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
        "full-width": "\N{FULLWIDTH DIGIT FIVE}".encode() + b"\r\nhello\r\n0\r\n\r\n",
        "trailer-length": b"0\r\nContent-Length: 5\r\n\r\n",
        "trailer-coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "trailer-host": b"0\r\nHost: other\r\n\r\n",
        "trailer-no-field": b"0\r\nGET / HTTP/1.1\r\n\r\n",
        "trailer-folded": b"0\r\nA: b\r\n c\r\n\r\n",
        "trailer-lf": b"0\r\nA: b\n\r\n",
        "trailer-space": b"0\r\nA : b\r\n\r\n",
        "trailer-huge": b"0\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
        "trailer-many": b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n",
        "space-after-size": b"5 x\r\nhello\r\n0\r\n\r\n",
        "extension-space": b"5 ;a\r\nhello\r\n0\r\n\r\n",
        "trailer-rouse": b"0\r\nRouse-Actor: demo/other\r\n\r\n",
    }
    good = {
        "one": _CHUNKS,
        "empty": b"0\r\n\r\n",
        "zeros": b"5\r\nhello\r\n000\r\n\r\n",
        "upper": b"A\r\n0123456789\r\n0\r\n\r\n",
        "lower": b"a\r\n0123456789\r\n0\r\n\r\n",
        "leading-zeros": b"00005\r\nhello\r\n0\r\n\r\n",
        "bytes": b"1\r\nh\r\n" * 50 + b"0\r\n\r\n",
    }
    either = {
        # Whether these go on is taste; that a strict reader finds the same end in them is not.
        "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
        "extension-quoted": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
        "last-extension": b"5\r\nhello\r\n0;a\r\n\r\n",
        "trailer": b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        "two-trailers": b"0\r\nA: b\r\nC: d\r\n\r\n",
        "space-after": b"5 \r\nhello\r\n0\r\n\r\n",
        "tab-after": b"5\t\r\nhello\r\n0\r\n\r\n",
        "extension-only-semicolon": b"5;\r\nhello\r\n0\r\n\r\n",
        "extension-8-bit": b"5;\xff\r\nhello\r\n0\r\n\r\n",
    }
    te = b"Transfer-Encoding: chunked\r\n"
    for name, body in bad.items():
        yield Case(family="chunks", name=name, data=_post(te, body + SMUGGLED), passes=0)
    for name, body in good.items():
        yield Case(family="chunks", name=name, data=_post(te, body) + _get(b""), passes=2)
    for name, body in either.items():
        yield Case(family="chunks", name=name, data=_post(te, body), passes=None)


def _fields() -> Iterator[Case]:
    def bad(name: str, line: bytes) -> Case:
        return Case(family="fields", name=name, data=_get(line + b"\r\n") + SMUGGLED, passes=0)

    for name, code in _CONTROLS.items():
        yield bad(f"{name}-in-name", b"X%cY: a" % code)
        yield bad(f"{name}-in-value", b"X: a%cb" % code)
        yield bad(f"{name}-before-colon", b"X%c: a" % code)
    for name, line in {
        "space-before-colon": b"X : a",
        "space-in-name": b"X Y: a",
        "no-colon": b"X",
        "no-name": b": a",
        "folded": b"X: a\r\n b",
        "folded-tab": b"X: a\r\n\tb",
        "lf-only": b"X: a\nY: b",
        "lf-smuggles-length": b"X: a\nContent-Length: 5",
        "paren": b"X(Y): a",
        "slash": b"X/Y: a",
        "8-bit-name": b"X\xe9: a",
        "at": b"X@Y: a",
        "quote": b'X"Y: a',
        "bracket": b"[X]: a",
        "brace": b"{X}: a",
        "comma-name": b"X,Y: a",
        "semicolon-name": b"X;Y: a",
        "equals-name": b"X=Y: a",
        "connection-names-host": b"Connection: close, Host",
        "connection-names-length": b"Connection: Content-Length\r\nContent-Length: 0",
        "lf-ends-head": b"X: a\n\nGET / HTTP/1.1",
        "second-host": HOST.strip(),
        "second-host-other": b"Host: b2.demo.actors.localhost",
        "host-other-case": b"HOST: b2.demo.actors.localhost",
        "host-space-colon": b"Host : b2.demo.actors.localhost",
    }.items():
        yield bad(name, line)
    many = b"".join(b"X-%d: a\r\n" % number for number in range(300))
    yield Case(family="fields", name="too-many", data=_get(many), passes=0, status=431)
    long = b"X: " + b"a" * 70_000 + b"\r\n"
    yield Case(family="fields", name="too-long", data=_get(long), passes=0, status=431)
    # Names of one hop stay on it, whatever else they are.
    for name, line in {
        "connection-names-x": b"Connection: x-gone\r\nX-Gone: a",
        "keep-alive": b"Keep-Alive: timeout=5",
        "te-trailers": b"TE: trailers\r\nConnection: TE",
        "proxy-connection": b"Proxy-Connection: keep-alive",
        "connection-empty": b"Connection:",
        "connection-commas": b"Connection: ,,close,",
        "upgrade-h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABk",
        "method-override": b"X-HTTP-Method-Override: DELETE",
        "original-url": b"X-Original-URL: /admin",
        "rouse-field": b"Rouse-Actor: demo/other",
        "rouse-underscore": b"Rouse_Actor: demo/other",
        "range": b"Range: bytes=0-",
        "expect-unknown": b"Expect: tea",
        "no-upgrade-name": b"Upgrade: websocket",
    }.items():
        yield Case(family="fields", name=name, data=_get(line + b"\r\n"), passes=1)


def _hosts() -> Iterator[Case]:
    def case(name: str, head: bytes, passes: int = 0, status: int = 400) -> Case:
        data = head + b"\r\n"
        return Case(family="host", name=name, data=data, passes=passes, status=status)

    yield case("none", b"GET / HTTP/1.1\r\n")
    yield case("none-in-1.0", b"GET / HTTP/1.0\r\n", status=404)
    yield case("path-needs-none-in-1.0", b"GET /actors/demo/a1/ HTTP/1.0\r\n", 1)
    good = b"a1.demo.actors.localhost"
    for name, value in {
        "empty": b"",
        "two": good + b", " + good,
        "user": b"u@" + good,
        "space": b"a1 .demo.actors.localhost",
        "path": good + b"/x",
        "url": b"http://" + good,
        "port-letters": good + b":80a",
        "port-negative": good + b":-1",
        "two-colons": good + b":80:80",
        "query": good + b"?a",
        "fragment": good + b"#a",
        "percent": b"%61" + good,
        "8-bit": b"\xe9." + good,
        "backslash": b"a\\" + good,
        "bracket": b"[::1",
        "quote": b'"' + good + b'"',
        "comma": good + b",",
        "tab": b"a\tb." + good,
        "port-long": good + b":123456",
        "braces": b"{" + good + b"}",
        "under-control": good + b"\x01",
    }.items():
        yield case(name, b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n")
    for name, value in {
        "port": good + b":8080",
        "upper": good.upper(),
        "port-empty": good + b":",
    }.items():
        yield case(f"good-{name}", b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n", 1)


def _lines() -> Iterator[Case]:
    def case(name: str, line: bytes, passes: int = 0, status: int = 400) -> Case:
        return Case(family="line", name=name, data=_request(line), passes=passes, status=status)

    for name, line in {
        "two-spaces": b"GET  / HTTP/1.1",
        "two-spaces-after": b"GET /  HTTP/1.1",
        "tab": b"GET\t/ HTTP/1.1",
        "tab-after": b"GET /\tHTTP/1.1",
        "space-first": b" GET / HTTP/1.1",
        "space-last": b"GET / HTTP/1.1 ",
        "no-target": b"GET HTTP/1.1",
        "no-version": b"GET /",
        "no-spaces": b"GET/HTTP/1.1",
        "lower-version": b"GET / http/1.1",
        "space-in-target": b"GET /a b HTTP/1.1",
        "fragment": b"GET /a#b HTTP/1.1",
        "vt": b"GET /\x0b HTTP/1.1",
        "nul-in-target": b"GET /\0 HTTP/1.1",
        "8-bit-target": b"GET /\xe9 HTTP/1.1",
        "del-in-target": b"GET /\x7f HTTP/1.1",
        "cr-in-target": b"GET /\r HTTP/1.1",
        "lf-in-target": b"GET /\nX: y HTTP/1.1",
        "relative": b"GET a HTTP/1.1",
        "asterisk-get": b"GET * HTTP/1.1",
        "ftp": b"GET ftp://a1.demo.actors.localhost/ HTTP/1.1",
        "absolute-other-host": b"GET http://b2.demo.actors.localhost/ HTTP/1.1",
        "absolute-user": b"GET http://u@a1.demo.actors.localhost/ HTTP/1.1",
        "absolute-empty-host": b"GET http:///x HTTP/1.1",
        "absolute-port": b"GET http://a1.demo.actors.localhost:81/ HTTP/1.1",
        "authority": b"GET a1.demo.actors.localhost:80 HTTP/1.1",
        "version-text": b"GET / HTTPS/1.1",
        "version-letters": b"GET / HTTP/1.x",
        "version-long": b"GET / HTTP/1.10",
        "version-01.1": b"GET / HTTP/01.1",
        "version-plus": b"GET / HTTP/+1.1",
        "version-comma": b"GET / HTTP/1,1",
        "method-colon": b"GE:T / HTTP/1.1",
        "method-at": b"GET@ / HTTP/1.1",
        "method-8-bit": b"G\xcaT / HTTP/1.1",
        "method-empty": b" / HTTP/1.1",
        "method-long": b"A" * 33 + b" / HTTP/1.1",
        "method-brace": b"{GET} / HTTP/1.1",
        "two-versions": b"GET / HTTP/1.1 HTTP/1.1",
        "version-trailing": b"GET / HTTP/1.1x",
    }.items():
        yield case(name, line)
    for name, line in {
        "2.0": b"GET / HTTP/2.0",
        "1.2": b"GET / HTTP/1.2",
        "0.9": b"GET / HTTP/0.9",
        "3": b"GET / HTTP/3",
        "9.9": b"GET / HTTP/9.9",
    }.items():
        yield case(f"version-{name}", line, status=501)
    yield case("connect", b"CONNECT a1.demo.actors.localhost:80 HTTP/1.1", status=501)
    yield case("connect-path", b"CONNECT / HTTP/1.1", status=501)
    yield case("preface", b"PRI * HTTP/2.0", status=501)
    yield case("target-long", b"GET /" + b"a" * 17_000 + b" HTTP/1.1", status=414)
    yield Case(family="line", name="http-0.9", data=b"GET /\r\n\r\n", passes=0)
    yield Case(
        family="line",
        name="tls",
        data=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
        passes=0,
    )
    yield Case(
        family="line",
        name="lf-only",
        data=b"GET / HTTP/1.1\n" + HOST.replace(b"\r", b"") + b"\n",
        passes=0,
    )
    yield Case(family="line", name="cr-only", data=(b"GET / HTTP/1.1\r" + HOST + b"\r\n"), passes=0)
    yield Case(family="line", name="three-empty-lines", data=b"\r\n\r\n\r\n" + _get(b""), passes=0)
    yield Case(family="line", name="space-line-first", data=b" \r\n" + _get(b""), passes=0)
    for name, line in {
        "asterisk": b"OPTIONS * HTTP/1.1",
        "absolute": b"GET http://a1.demo.actors.localhost/x HTTP/1.1",
        "absolute-upper": b"GET HTTP://A1.demo.actors.localhost/x HTTP/1.1",
        "absolute-bare": b"GET http://a1.demo.actors.localhost HTTP/1.1",
        "double-slash": b"GET //x HTTP/1.1",
        "dots": b"GET /../../x HTTP/1.1",
        "encoded-dots": b"GET /%2e%2e/x HTTP/1.1",
        "encoded-nul": b"GET /%00 HTTP/1.1",
        "encoded-crlf": b"GET /%0d%0aX:%20y HTTP/1.1",
        "bad-percent": b"GET /%zz HTTP/1.1",
        "backslash": b"GET /\\x HTTP/1.1",
        "braces": b"GET /{x} HTTP/1.1",
        "pipe": b"GET /a|b HTTP/1.1",
        "quote": b'GET /"a" HTTP/1.1',
        "query": b"GET /?a=b&c=http://d/ HTTP/1.1",
        "target-of-8k": b"GET /" + b"a" * 7000 + b" HTTP/1.1",
    }.items():
        yield case(f"good-{name}", line, 1)


REQUESTS = unique(
    [
        *_plain(),
        *_lengths(),
        *_cl_zero(),
        *_cl_te(),
        *_te_te(),
        *_te_cl(),
        *_chunks(),
        *_fields(),
        *_hosts(),
        *_lines(),
    ]
)
