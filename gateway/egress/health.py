"""Which backends of a group are out for a while, since they failed or are over their limit.

No I/O, no clock. What is out comes back by itself; nothing asks it meanwhile.
"""

from collections import OrderedDict

OUT_S = 10.0
LONGEST_OUT_S = 300.0
_MOST = 10_000


class Health:
    def __init__(self) -> None:
        self._out_until: OrderedDict[object, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Health {len(self._out_until)} out>"

    def is_out(self, backend: object, now: float) -> bool:
        until = self._out_until.get(backend)
        return until is not None and now < until

    def failed(self, backend: object, now: float, *, for_s: float = OUT_S) -> None:
        self._out_until[backend] = now + min(max(for_s, 1.0), LONGEST_OUT_S)
        self._out_until.move_to_end(backend)
        if len(self._out_until) > _MOST:
            self._out_until.popitem(last=False)

    def answered(self, backend: object) -> None:
        self._out_until.pop(backend, None)


def is_bad(status: int) -> bool:
    """Of an answer: does it say that another one should be asked?"""
    return status == 429 or status >= 500


def out_s(retry_after: str | None) -> float:
    """By what it says itself, in seconds; a date is not read."""
    if retry_after is None or not retry_after.strip().isdigit():
        return OUT_S
    return float(retry_after.strip()[:6])
