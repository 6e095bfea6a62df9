"""HTTP/1.1 on one connection: requests in, replies out, bodies in pieces of bounded size."""

from __future__ import annotations

from .tasks import readable, writable

PIECE = 65536
LONGEST_HEAD = 256 * 1024
"""Long tokens and cookies are common; a proxy before us has its own limit."""
PHRASES = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    507: "Insufficient Storage",
}


class Gone(Exception):
    """The other side went away; nobody is left to answer."""


class Refused(Exception):
    """The request cannot be served: `status` says whose fault it is."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Wire:
    """A connection: bytes that came and were not used yet, and the waits for more."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""
        self.task = None
        """The task that serves it."""

    def more(self):
        """One more piece into `rest`; False at the end of the stream."""
        while True:
            try:
                piece = self.sock.recv(PIECE)
            except BlockingIOError:
                yield readable(self.sock)
                continue
            except OSError as error:
                raise Gone from error
            self.rest += piece
            return bool(piece)

    def line(self, limit):
        while (end := self.rest.find(b"\n")) < 0:
            if len(self.rest) > limit:
                raise Refused(400, "a line of the body's framing is too long")
            if not (yield from self.more()):
                raise Gone
        line, self.rest = self.rest[:end], self.rest[end + 1 :]
        return line.rstrip(b"\r")

    def send(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                yield writable(self.sock)
            except OSError as error:
                raise Gone from error


class Request:
    """A parsed head, and the body that is still to be read."""

    def __init__(self, wire, method, target, version, fields):
        self.method = method
        self.path, _, query = target.partition("?")
        self.query = dict(part.partition("=")[::2] for part in query.split("&") if part)
        self.fields = fields
        self.is_old = version == "HTTP/1.0"
        asked = fields.get("connection", "").lower()
        self.keeps = "keep-alive" in asked if self.is_old else "close" not in asked
        self._wire = wire
        self._chunked = "transfer-encoding" in fields
        self._left = 0 if self._chunked else _length(fields.get("content-length", "0"))
        self._expects = fields.get("expect", "").lower() == "100-continue"
        self.is_read = not self._chunked and self._left == 0
        if self._chunked and fields["transfer-encoding"].lower() != "chunked":
            raise Refused(501, "no transfer coding but chunked")

    @property
    def is_held_back(self):
        """The client waits for a word before it sends the body."""
        return self._expects

    def piece(self):
        """The next piece of the body; empty at its end."""
        if self._expects:
            self._expects = False
            yield from self._wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        # A turn for the others: a fast sender must not have the thread to itself.
        yield None
        if self.is_read:
            return b""
        if self._left == 0 and not (yield from self._next_chunk()):
            return b""
        if not self._wire.rest and not (yield from self._wire.more()):
            raise Gone
        piece = self._wire.rest[: self._left]
        self._wire.rest = self._wire.rest[len(piece) :]
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                yield from self._wire.line(2)
            else:
                self.is_read = True
        return piece

    def _next_chunk(self):
        size = (yield from self._wire.line(1024)).partition(b";")[0]
        try:
            self._left = int(size, 16)
        except ValueError:
            raise Refused(400, "a chunk without a size") from None
        if self._left == 0:
            while (yield from self._wire.line(LONGEST_HEAD)):
                pass  # trailers
            self.is_read = True
        return self._left > 0


class Reply:
    """A status, fields, and a body: bytes, or a task that yields waits and is told where to write.

    `pieces(write)` is a generator; `yield from write(data)` sends. `length` None means chunked, and
    then a generator may return trailer fields. `then` is called once the reply has been sent."""

    def __init__(self, status, body=b"", *, kind="text/plain", fields=(), length=None, then=None):
        self.status = status
        self.fields = [("Content-Type", kind), *fields]
        self.pieces = None if isinstance(body, bytes) else body
        self.body = body if isinstance(body, bytes) else b""
        self.length = len(body) if isinstance(body, bytes) else length
        self.then = then


def _length(text):
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "Content-Length is not a number")
    return int(text)


def read_request(wire):
    """The next request, or None when the client has closed between two of them."""
    while (end := wire.rest.find(b"\r\n\r\n")) < 0:
        if len(wire.rest) > LONGEST_HEAD:
            raise Refused(431, f"the head is longer than {LONGEST_HEAD} bytes")
        if not (yield from wire.more()):
            return None
    head, wire.rest = wire.rest[:end].decode("latin-1"), wire.rest[end + 4 :]
    first, *lines = head.split("\r\n")
    try:
        method, target, version = first.split(" ")
    except ValueError:
        raise Refused(400, "the request line has not three words") from None
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Refused(400, "a header line without a colon")
        fields[name.lower()] = value.strip()
    return Request(wire, method, target, version, fields)


def send_reply(wire, request, reply):
    """Send all of it; returns whether the connection can be used again."""
    chunked = reply.length is None and not request.is_old
    keeps = request.keeps and (chunked or reply.length is not None)
    if not request.is_read and request.is_held_back:
        keeps = False  # the body it held back may or may not come: the next bytes have no meaning
    fields = list(reply.fields)
    if chunked:
        fields.append(("Transfer-Encoding", "chunked"))
    elif reply.length is not None:
        fields.append(("Content-Length", str(reply.length)))
    fields.append(("Connection", "keep-alive" if keeps else "close"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    phrase = PHRASES.get(reply.status, "Unnamed")
    head = f"HTTP/1.1 {reply.status} {phrase}\r\n{lines}\r\n".encode("latin-1")
    if request.method == "HEAD" or reply.pieces is None:
        yield from wire.send(head if request.method == "HEAD" else head + reply.body)
        return keeps
    yield from wire.send(head)

    def write(data):
        framed = b"%x\r\n%b\r\n" % (len(data), data) if chunked else data
        yield from wire.send(framed if data else b"")

    trailers = yield from reply.pieces(write)
    if chunked:
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers or ())
        yield from wire.send(f"0\r\n{lines}\r\n".encode("latin-1"))
    return keeps
