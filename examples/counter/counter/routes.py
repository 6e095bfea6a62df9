"""What each path answers. A route is a generator (it may wait) that returns a Reply."""

from __future__ import annotations

import json
import os

from . import wire
from .disk import is_file_name
from .tasks import after
from .wire import Refused, Reply

LONGEST_RECORD = 65536


class Counter:
    """The program: two counters, the disk, and a table of routes."""

    def __init__(self, disk, *, actor, greeting, leave):
        self.ram = 0
        self.disk = disk
        self.actor = actor
        self.greeting = greeting
        self.leave = leave
        self._scratches = 0
        self._routes = {
            ("GET", "/"): self.both_raised,
            ("GET", "/peek"): self.peek,
            ("GET", "/healthz"): self.health,
            ("POST", "/echo"): self.echo,
            ("GET", "/events"): self.events,
            ("GET", "/slow"): self.slow,
            ("POST", "/exit"): self.exit,
            ("GET", "/files"): self.file_names,
            ("GET", "/files/"): self.read_file,
            ("PUT", "/files/"): self.write_file,
            ("GET", "/records"): self.records,
            ("POST", "/records"): self.append_record,
        }

    def reply(self, request):
        is_file = request.path.startswith("/files/")
        path = "/files/" if is_file else request.path
        method = "GET" if request.method == "HEAD" else request.method
        if request.method == "HEAD" and path == "/":
            path = "/peek"  # HEAD is safe (RFC 9110 section 9.2.1): it raises nothing
        route = self._routes.get((method, path))
        if route is None:
            allowed = ", ".join(sorted(m for m, p in self._routes if p == path))
            if not allowed:
                raise Refused(404, "no such path")
            return Reply(405, b"another method, please\n", fields=[("Allow", allowed)])
        try:
            return (yield from route(request))
        except OSError as error:
            # A full or broken disk is told, not hidden: what was not acknowledged may be lost.
            raise Refused(507, f"the disk said: {error.strerror or error}") from error

    def _counters(self, file_count):
        return _json(
            200,
            {
                "ram": self.ram,
                "file": file_count,
                "pid": os.getpid(),
                "actor": self.actor,
                "greeting": self.greeting,
            },
        )

    def both_raised(self, request):
        yield None
        file_count = self.disk.raise_count()
        self.ram += 1
        return self._counters(file_count)

    def peek(self, request):
        yield None
        return self._counters(self.disk.count)

    def health(self, request):
        yield None
        return Reply(200, b"ok\n")

    def echo(self, request):
        """The body back. It is read to its end first, into a file without a name: most clients
        write all of a request before they read, and both sides would wait for each other.
        `?mode=duplex` sends each piece back at once, for clients that can."""
        import hashlib  # start-up time that only this route needs

        digest = hashlib.sha256()
        if request.query.get("mode") == "duplex":
            return self._duplex(request, digest)
        path, file = self._scratch()
        os.unlink(path)
        length = 0
        try:
            while piece := (yield from request.piece()):
                digest.update(piece)
                file.write(piece)
                length += len(piece)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        told = [("X-Body-Length", str(length)), ("X-Body-SHA256", digest.hexdigest())]
        kind = request.fields.get("content-type", "application/octet-stream")
        return Reply(200, _contents(file), kind=kind, fields=told, length=length)

    def _duplex(self, request, digest):
        def pieces(write):
            length = 0
            while piece := (yield from request.piece()):
                digest.update(piece)
                length += len(piece)
                yield from write(piece)
            return [("X-Body-Length", str(length)), ("X-Body-SHA256", digest.hexdigest())]

        kind = request.fields.get("content-type", "application/octet-stream")
        return Reply(200, pieces, kind=kind, fields=[("Trailer", "X-Body-Length, X-Body-SHA256")])

    def events(self, request):
        """Server-sent events, numbered on from Last-Event-ID."""
        yield None
        first = int(_number(request.fields.get("last-event-id", "0"))) + 1
        count = int(_number(request.query.get("n", "10")))
        every = _number(request.query.get("every", "1"))

        def pieces(write):
            for number in range(first, first + count):
                if number > first:
                    yield after(every)
                data = json.dumps({"number": number, "actor": self.actor})
                yield from write(f"id: {number}\ndata: {data}\n\n".encode())

        fields = [("Cache-Control", "no-store")]
        return Reply(200, pieces, kind="text/event-stream", fields=fields)

    def slow(self, request):
        seconds = _number(request.query.get("s", "1"))
        yield after(seconds)
        return _json(200, {"slept": seconds, "actor": self.actor})

    def exit(self, request):
        yield None
        code = int(_number(request.query.get("code", "0")))
        return Reply(200, b"bye\n", then=lambda: self.leave(code))

    def file_names(self, request):
        yield None
        return _json(200, self.disk.file_names())

    def read_file(self, request):
        yield None
        name = _file_name(request)
        try:
            file = open(self.disk.file(name), "rb", buffering=0)
        except FileNotFoundError:
            raise Refused(404, "no such file") from None
        kind = "application/octet-stream"
        return Reply(200, _contents(file), kind=kind, length=os.fstat(file.fileno()).st_size)

    def write_file(self, request):
        name = _file_name(request)
        path, file = self._scratch()
        length = 0
        try:
            with file:
                while piece := (yield from request.piece()):
                    file.write(piece)
                    length += len(piece)
                os.fsync(file.fileno())
            self.disk.keep_file(name, path)
        except BaseException:
            os.unlink(path)
            raise
        return _json(201, {"name": name, "length": length})

    def _scratch(self):
        self._scratches += 1
        return self.disk.scratch(f"{os.getpid()}-{self._scratches}")

    def append_record(self, request):
        body = b""
        while piece := (yield from request.piece()):
            body += piece
            if len(body) > LONGEST_RECORD:
                raise Refused(413, f"a record has at most {LONGEST_RECORD} bytes")
        if b"\n" in body:
            raise Refused(400, "a record is one line")
        return _json(201, {"number": self.disk.append_record(body)})

    def records(self, request):
        """All records, one line each; the line's number is the record's."""
        yield None

        def pieces(write):
            offset = 0
            while block := self.disk.read_records(offset, wire.PIECE):
                offset += len(block)
                yield from write(block)

        return Reply(200, pieces, fields=[("X-Records", str(self.disk.record_count))])


def _contents(file):
    def pieces(write):
        with file:
            while block := file.read(wire.PIECE):
                yield from write(block)

    return pieces


def _json(status, value):
    return Reply(status, json.dumps(value).encode() + b"\n", kind="application/json")


def _file_name(request):
    name = request.path[len("/files/") :]
    if not is_file_name(name):
        raise Refused(400, "a file name is 1 to 100 of a-z, A-Z, 0-9, '.', '_' and '-'")
    return name


def _number(text):
    try:
        number = float(text)
    except ValueError:
        raise Refused(400, "a query value is not a number") from None
    if not 0 <= number <= 1_000_000:
        raise Refused(400, "a query value is out of range")
    return number
