"""The access log: one JSON line per request at its end, gathered and written in one piece.

It has no query, no field and no body in it, so no secret that a client put where secrets go.
"""

import json
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.ingress.seams import Woken

_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_GATHER = 256


class Entry(NamedTuple):
    """One request, told at its end."""

    request_id: bytes
    client: bytes
    actor: bytes
    method: bytes
    target: bytes
    status: int
    source: str
    """`actor` or `rouse`."""
    reason: str
    """Why, where the answer was ours or broke off; else empty."""
    took_s: float
    bytes_in: int
    bytes_out: int
    repeats: int
    wake: Woken | None


class AccessLog:
    """Gathers lines until there are many or `flush` is called (the relay does so every tick)."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._second = -1
        self._stamp = b""

    def add(self, entry: Entry) -> None:
        self._lines.append(self._line(entry, time.time()))
        if len(self._lines) >= _GATHER:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            text = b"".join(self._lines)
            self._lines.clear()
            self._write(text)

    def _line(self, e: Entry, now: float) -> bytes:
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return (
            b'{"ts":"%b.%03dZ","request_id":"%b","client":"%b","actor":"%b","method":"%b",'
            b'"path":"%b","status":%d,"source":"%b","took_ms":%.2f,"in":%d,"out":%d%b}\n'
        ) % (
            self._stamp,
            int((now - second) * 1000),
            e.request_id,
            e.client,
            e.actor,
            e.method,
            _path(e.target),
            e.status,
            e.source.encode(),
            e.took_s * 1000,
            e.bytes_in,
            e.bytes_out,
            _rare(e) if e.reason or e.repeats or e.wake is not None else b"",
        )


def _path(target: bytes) -> bytes:
    path = target.partition(b"?")[0][:2048]
    if _UNSAFE.search(path) is None:
        return path
    return json.dumps(path.decode("ascii", "replace"))[1:-1].encode("ascii")


def _rare(e: Entry) -> bytes:
    """What most requests do not have."""
    more: dict[str, object] = {}
    if e.reason:
        more["reason"] = e.reason
    if e.repeats:
        more["repeats"] = e.repeats
    if e.wake is not None:
        more["wake"] = e.wake.kind
        more["wake_ms"] = round(dict(e.wake.phases).get("total", 0.0), 1)
    return b"," + json.dumps(more)[1:-1].encode("ascii")
