"""Whether a running program hangs, from what was seen of it. No I/O and no clock.

A program that fails its readiness may be at work on one long request (A25): that alone ends nobody.
It hangs when requests that reached it end without an answer too, and it does not even compute.
"""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    WELL = "well"
    MUTE = "mute"
    """It fails its readiness; told in the log and in the metrics, and left alone."""
    HUNG = "hung"
    """It is ended as if it had ended by itself: its files are saved, the next request wakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    failures: int = 3
    """Probes in a row."""
    failing_s: float = 60.0
    """Since the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    now: float
    failures: int = 0
    """Probes that failed in a row."""
    failing_since: float = 0.0
    unanswered: int = 0
    """Requests in a row that reached it and ended without the head of an answer: timed out, or
    given up by their clients."""
    is_computing: bool = False


def look(pulse: Pulse, patience: Patience) -> Health:
    if pulse.failures < patience.failures:
        return Health.WELL
    has_lasted = pulse.now - pulse.failing_since >= patience.failing_s
    if has_lasted and pulse.unanswered and not pulse.is_computing:
        return Health.HUNG
    return Health.MUTE
