"""Idle keep-alive connections: each makes one request and then stays. What do they cost?"""

import resource
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_SPARE_FILES = 256
_BATCH = 200
_ANSWER_S = 20.0


def affordable(wanted: int) -> int:
    """How many connections this process may hold; raises its own limit as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - _SPARE_FILES)


def ask(port: int, fields: Mapping[str, str]) -> bytes:
    shown = {"Host": f"127.0.0.1:{port}", **fields}
    lines = "".join(f"{name}: {value}\r\n" for name, value in shown.items())
    return f"GET / HTTP/1.1\r\n{lines}\r\n".encode("ascii")


@contextmanager
def held(port: int, count: int, fields: Mapping[str, str]) -> Iterator[int]:
    """Inside, this many connections are open, each answered once. Gives how many of them were
    answered with 200 and are still open."""
    request = ask(port, fields)
    open_now: list[socket.socket] = []
    good = 0
    try:
        # In batches: a listener's backlog is bounded, and who is refused would count as broken.
        while len(open_now) < count:
            batch = []
            for _ in range(min(_BATCH, count - len(open_now))):
                sock = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S)
                batch.append(sock)
                sock.sendall(request)
            open_now += batch
            good += sum(sock.recv(65536).startswith(b"HTTP/1.1 200 ") for sock in batch)
        time.sleep(0.5)  # what is freed after an answer is freed by now
        yield good - sum(_is_over(sock) for sock in open_now)
    finally:
        for sock in open_now:
            sock.close()


def _is_over(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        return not sock.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True
