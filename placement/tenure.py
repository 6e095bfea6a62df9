"""Tenure: for how long one incarnation of a worker may serve, by its own clock.

Whoever must ask before every byte (a gate) holds it; the lease moves its end. Over is over.
"""

import time
from typing import Final

# CLOCK_BOOTTIME runs on while the machine sleeps; macOS has none, its CLOCK_MONOTONIC stands still.
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Seconds by the clock that leases are counted on."""
    return time.clock_gettime(_CLOCK)


class Tenure:
    __slots__ = ("_is_over", "expires_at")

    def __init__(self, expires_at: float) -> None:
        self.expires_at = expires_at
        """On `boot_time`."""
        self._is_over = False

    def __repr__(self) -> str:
        state = "over" if self._is_over else f"{self.expires_at - boot_time():.1f} s left"
        return f"<Tenure {state}>"

    def lasts(self, now: float) -> bool:
        """Once False, always False: whoever was told so may have made way for another owner."""
        if now >= self.expires_at:
            self._is_over = True
        return not self._is_over

    def end(self) -> None:
        self._is_over = True
