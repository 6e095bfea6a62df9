"""One line for every decision: who, where, what, and why. No query, no header, no secret.

Lines are gathered and written once in a while, off the request's way; the file is kept bounded.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

LARGEST_BYTES = 16 * 2**20
"""Then it becomes `.1`, in place of the one that was."""
_MOST_WAITING = 50_000


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    at: str
    """Time, UTC."""
    actor: str
    decision: str
    """`allow`, `deny`, `fail`."""
    way: str
    method: str
    to: str
    """host:port"""
    path: str = ""
    """Without its query, which may hold a secret."""
    status: int = 0
    reason: str = ""
    route: str = ""
    credentials: tuple[str, ...] = ()
    """By name."""
    ms: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    more: dict[str, str] = {}
    """What the document adds (accessLog.add)."""


class Audit:
    """`path` None: lines go nowhere but to `on_line`."""

    def __init__(
        self, path: Path | None = None, on_line: Callable[[Line], None] | None = None
    ) -> None:
        self.path = path
        self.on_line = on_line
        self._waiting: list[Line] = []
        self.lost = 0
        """Lines that there was no room for."""

    def __repr__(self) -> str:
        return f"<Audit {len(self._waiting)} lines wait, {self.lost} lost>"

    def note(self, line: Line) -> None:
        if self.on_line is not None:
            self.on_line(line)
        if self.path is None:
            return
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(line)
        else:
            self.lost += 1

    def flush(self) -> None:
        """Blocks for one write. Raises OSError; the lines are tried again next time."""
        if self.path is None or not self._waiting:
            return
        lines, encode = self._waiting, msgspec.json.Encoder().encode
        data = b"".join(encode(line) + b"\n" for line in lines)
        try:
            if self.path.stat().st_size + len(data) > LARGEST_BYTES:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
        except FileNotFoundError:
            pass
        with self.path.open("ab") as file:
            file.write(data)
        self._waiting = []


@functools.lru_cache(maxsize=2)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def now_text() -> str:
    seconds = time.time()
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"
