"""The process beside a virtual machine: serves its files, keeps its output, notes how it ended.

Begun as root for what it must open, then without any right but its actor's user's; it lives as long
as the machine and not as long as the worker. All connections go from here into the guest, so that
nobody listens where the guest could knock. `python -S attendant.py FD`, with
its orders in that descriptor.
"""

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from runtimes import netns
from runtimes.shares import Files, Share

ADDRESS = ("10.209.0.2", 1)
"""Of the guest's first process."""
CONNECT_S = 90.0
"""A guest may be booting, emulated, on a busy machine."""
MOST_FRAME_BYTES = (128 << 10) + 4096
QUESTION, REPLY, OUTPUT, EXITED, TAKEN = b"Q", b"R", b"O", b"X", b"A"
_HEAD = struct.Struct("<cI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    netns: str
    shares: list[tuple[str, bool]]
    """Directory, and whether it may be written."""
    output: str
    """FIFO for what the program prints."""
    exited: str
    """File that is told how it ended."""
    control: str
    """Socket that tells what an image must hold of the files."""
    user: int
    files: dict[str, Any] | None
    """Of an image that the guest goes on from."""

    @classmethod
    def read(cls, data: bytes) -> "Orders":
        told = json.loads(data)
        shares = [(str(path), bool(may_write)) for path, may_write in told.pop("shares")]
        return cls(shares=shares, **told)


class Attendant:
    def __init__(self, orders: Orders) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.files = Files([Share(os.open(path, flags), write) for path, write in orders.shares])
        self._orders = orders
        # For reading too: without a reader a write must wait, not break.
        self._output = os.open(orders.output, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._exited = os.open(orders.exited, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(orders.control)
        self._control.bind(orders.control)
        self._control.listen(8)
        # As root, and nowhere else later: the guest is reached from its namespace alone.
        netns.enter(orders.netns)
        _become(orders.user)
        if orders.files is not None:
            self.files.take_up(orders.files)
        self._selector = selectors.DefaultSelector()
        self._received = bytearray()
        self._printed = b""

    def run(self) -> None:
        """Until the guest ends."""
        conn = _connect()
        self._selector.register(conn, selectors.EVENT_READ)
        self._selector.register(self._control, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is conn:
                    data = conn.recv(1 << 18)
                    if not data:
                        return
                    self._received += data
                    for kind, body in self._frames():
                        self._take(conn, kind, body)
                elif key.fileobj is self._control:
                    self._tell()
                else:
                    self._print(conn)

    def _frames(self) -> list[tuple[bytes, bytes]]:
        found, at = [], 0
        while len(self._received) - at >= _HEAD.size:
            kind, size = _HEAD.unpack_from(self._received, at)
            if size > MOST_FRAME_BYTES:
                raise ValueError("a frame is longer than agreed")
            if len(self._received) - at - _HEAD.size < size:
                break
            at += _HEAD.size
            found.append((kind, bytes(self._received[at : at + size])))
            at += size
        del self._received[:at]
        return found

    def _take(self, conn: socket.socket, kind: bytes, body: bytes) -> None:
        if kind == QUESTION:
            if (reply := self.files.answer(body)) is not None:
                _send(conn, REPLY, reply)
        elif kind == OUTPUT:
            self._printed += body
            self._selector.register(self._output, selectors.EVENT_WRITE)
        elif kind == EXITED:
            os.write(self._exited, body)
            _send(conn, TAKEN)
        else:
            raise ValueError(f"a frame of kind {kind!r}")

    def _print(self, conn: socket.socket) -> None:
        """As the worker reads it: a program that prints faster waits, in the guest."""
        with contextlib.suppress(BlockingIOError):
            self._printed = self._printed[os.write(self._output, self._printed[:4096]) :]
        if not self._printed:
            self._selector.unregister(self._output)
            _send(conn, TAKEN)

    def _tell(self) -> None:
        asker, _ = self._control.accept()
        with asker, contextlib.suppress(OSError):
            asker.settimeout(5)
            asker.sendall(json.dumps(self.files.told()).encode())


def _send(conn: socket.socket, kind: bytes, body: bytes = b"") -> None:
    conn.sendall(_HEAD.pack(kind, len(body)) + body)


def _connect() -> socket.socket:
    """To the guest, as soon as it listens."""
    give_up = time.monotonic() + CONNECT_S
    while True:
        conn = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # Short: while the guest boots nobody says no, and a lost first packet costs a second.
        conn.settimeout(0.2)
        try:
            conn.connect(ADDRESS)
            break
        except OSError:
            conn.close()
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)
    conn.settimeout(None)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    conn.sendall(b'{"do":"attend"}\n')
    return conn


def _become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.umask(0)


def main() -> None:
    with open(int(sys.argv[1]), "rb") as given:
        orders = Orders.read(given.read())
    Attendant(orders).run()


if __name__ == "__main__":
    main()
