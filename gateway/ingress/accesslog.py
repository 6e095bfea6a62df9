"""The access log: one JSON line per request at its end, gathered and written in one piece.

It has no query, no field and no body in it, so no secret that a client put where secrets go.
"""

import json
import re
import time
from collections.abc import Callable

from gateway.ingress.seams import Woken

_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_GATHER = 256


def told_request(client: bytes, actor: bytes, method: bytes, target: bytes) -> bytes:
    """The part of a line that is the same for equal requests of one connection."""
    return b'"client":"%b","actor":"%b","method":"%b","path":"%b"' % (
        client,
        actor,
        method,
        _path(target),
    )


class AccessLog:
    """Gathers lines until there are many or `flush` is called (the relay does so every tick)."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lines: list[bytes] = []
        self._second = -1
        self._stamp = b""

    def __repr__(self) -> str:
        return f"<AccessLog {len(self._lines)} lines gathered>"

    def add(
        self,
        request_id: bytes,
        request: bytes,
        status: int,
        source: bytes,
        took_s: float,
        bytes_in: int = 0,
        bytes_out: int = 0,
        reason: str = "",
        repeats: int = 0,
        wake: Woken | None = None,
    ) -> None:
        """One request, told at its end. `request` is of `told_request`; `source` is who answered,
        `actor` or `rouse`; `reason` is why, where the answer was ours or broke off."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._stamp = b'{"ts":"%b.' % stamp.encode()
        took_us = int(took_s * 1e6)
        more = b""
        if reason or repeats or wake is not None:
            more = _rare(reason, repeats, wake)
        self._lines.append(
            b'%b%03dZ","request_id":"%b",%b,"status":%d,"source":"%b","took_ms":%d.%03d,'
            b'"in":%d,"out":%d%b}\n'
            % (
                self._stamp,
                int((now - second) * 1000),
                request_id,
                request,
                status,
                source,
                took_us // 1000,
                took_us % 1000,
                bytes_in,
                bytes_out,
                more,
            )
        )
        if len(self._lines) >= _GATHER:
            self.flush()

    def flush(self) -> None:
        if self._lines:
            text = b"".join(self._lines)
            self._lines.clear()
            self._write(text)


def _path(target: bytes) -> bytes:
    path = target.partition(b"?")[0][:2048]
    if _UNSAFE.search(path) is None:
        return path
    return json.dumps(path.decode("ascii", "replace"))[1:-1].encode("ascii")


def _rare(reason: str, repeats: int, wake: Woken | None) -> bytes:
    """What most requests do not have."""
    more: dict[str, object] = {}
    if reason:
        more["reason"] = reason
    if repeats:
        more["repeats"] = repeats
    if wake is not None:
        more["wake"] = wake.kind
        more["wake_ms"] = round(dict(wake.phases).get("total", 0.0), 1)
    return b"," + json.dumps(more)[1:-1].encode("ascii")
