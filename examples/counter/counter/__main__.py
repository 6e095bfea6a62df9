"""Listen on PORT, keep files in ROUSE_DATA, end cleanly at SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys

from .disk import Disk
from .routes import Counter
from .tasks import Tasks, after, readable
from .wire import Gone, Refused, Reply, Request, Wire, read_request, send_reply

PATIENCE_S = 2
MOST_UNREAD = 1 << 20
"""How much of a body nobody asked for is read to keep the connection."""


class Server:
    """The listener, its connections, and how all of it ends."""

    def __init__(self, disk, listener):
        self.tasks = Tasks()
        self.counter = Counter(
            disk,
            actor=os.environ.get("ROUSE_ACTOR", ""),
            greeting=os.environ.get("GREETING", "hello"),
            leave=self.leave,
        )
        self._listener = listener
        self._accepting = self._accept()
        self._between = {}
        """Connections that wait for their next request, by socket."""
        self._is_leaving = False

    def run(self):
        woken, waker = socket.socketpair()
        woken.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        signal.signal(signal.SIGINT, lambda number, frame: None)
        self.tasks.start(self._accepting)
        self.tasks.start(self._end_at_signal(woken))
        self.tasks.run()

    def leave(self, code):
        """End at once, as a program that fails or has done its work."""
        sys.stdout.flush()
        os._exit(code)

    def _end_at_signal(self, woken):
        yield readable(woken)
        self._is_leaving = True
        self.tasks.forsake(self._accepting)
        self._listener.close()
        for task in list(self._between.values()):
            self.tasks.forsake(task)
        self.tasks.stop(PATIENCE_S)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                yield readable(self._listener)
                continue
            except OSError:
                yield after(0.1)  # out of descriptors: those who wait are served when some are back
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock)
            task = self._serve(wire)
            wire.task = task
            self.tasks.start(task)

    def _serve(self, wire):
        try:
            while not self._is_leaving and (yield from self._exchange(wire)):
                pass
        except (Gone, Refused, OSError):
            pass  # in the middle of a reply: to break it off is the only honest end
        finally:
            self._between.pop(wire.sock, None)
            wire.sock.close()

    def _exchange(self, wire):
        """One request and its reply; False when the connection is over."""
        self._between[wire.sock] = wire.task
        try:
            request = yield from read_request(wire)
        except Refused as refused:
            yield from self._refuse(wire, refused)
            return False
        finally:
            self._between.pop(wire.sock, None)
        return request is not None and (yield from self._answer(wire, request))

    def _answer(self, wire, request):
        try:
            reply = yield from self.counter.reply(request)
        except Refused as refused:
            reply = Reply(refused.status, f"{refused}\n".encode())
        request.keeps = request.keeps and not self._is_leaving
        keeps = yield from send_reply(wire, request, reply)
        if reply.then is not None:
            wire.sock.shutdown(socket.SHUT_WR)
            reply.then()
        unread = 0
        while keeps and not request.is_read and unread < MOST_UNREAD:
            unread += len((yield from request.piece()))
        return keeps and request.is_read

    def _refuse(self, wire, refused):
        none = Request(wire, "GET", "/", "HTTP/1.1", {"connection": "close"})
        yield from send_reply(wire, none, Reply(refused.status, f"{refused}\n".encode()))


def main():
    host = os.environ.get("HOST", "127.0.0.1")
    port = int(os.environ.get("PORT", "8080"))
    listener = socket.create_server((host, port), backlog=1024)
    listener.setblocking(False)
    server = Server(Disk(os.environ.get("ROUSE_DATA", "counter-data")), listener)
    print(f"counter listens on {host}:{listener.getsockname()[1]}", flush=True)
    server.run()
    print("counter ends", flush=True)


if __name__ == "__main__":
    main()
