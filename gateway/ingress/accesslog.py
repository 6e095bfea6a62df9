"""The access log: one JSON line per request at its end, gathered and written in one piece.

It has no query, no field and no body in it, so no secret that a client put where secrets go.
"""

import json
import re
from collections.abc import Callable
from time import gmtime, strftime, time
from typing import Final

from gateway.ingress.seams import Woken

_UNSAFE = re.compile(rb"[^ !#-\[\]-~]")
_GATHER: Final = 256
_TOOK: Final = [b"%d.%02d" % divmod(number, 100) for number in range(10_000)]
"""Up to a tenth of a second, as it is written: in milliseconds with two digits."""


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
        self._millisecond = -1
        self._second = -1
        self._day = b""
        self._stamp = b""
        """How a line begins, in this millisecond."""
        self._status = self._in = self._out = -1
        self._result = b""
        """What the last line told of those three; the next one mostly tells the same."""

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
        now_ms = int(time() * 1000)
        if now_ms != self._millisecond:
            self._stamp = self._stamped(now_ms)
        if status != self._status or bytes_in != self._in or bytes_out != self._out:
            self._status, self._in, self._out = status, bytes_in, bytes_out
            told = (status, bytes_in, bytes_out)
            self._result = b',"status":%d,"in":%d,"out":%d,"source":"' % told
        took = int(took_s * 1e5)
        more = b""
        if reason or repeats or wake is not None:
            more = _rare(reason, repeats, wake)
        self._lines.append(
            b"".join(
                (
                    self._stamp,
                    request_id,
                    b'",',
                    request,
                    self._result,
                    source,
                    b'","took_ms":',
                    _TOOK[took] if took < 10_000 else b"%.2f" % (took_s * 1000),
                    more,
                    b"}\n",
                )
            )
        )
        if len(self._lines) >= _GATHER:
            self.flush()

    def _stamped(self, now_ms: int) -> bytes:
        self._millisecond = now_ms
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._day = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second)).encode()
        return b'{"ts":"%b.%03dZ","request_id":"' % (self._day, now_ms % 1000)

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
