"""Meters: what the relay counts of itself, as plain integers that a collector reads later.

The labels are bounded by construction: a status, who made it, a cause; never an actor.
"""

from typing import Final

# fmt: off
BUCKETS_S: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)
# fmt: on
"""Upper bounds of the latency histogram; one more bucket holds what is above them."""


class Meters:
    __slots__ = (
        "aborted",
        "broken_off",
        "by_actor",
        "by_rouse",
        "bytes_in",
        "bytes_out",
        "connections",
        "inflight",
        "latency",
        "latency_sum_s",
        "repeats",
        "upgrades",
    )

    def __init__(self) -> None:
        self.by_actor: dict[int, int] = {}
        """Answers that came from an actor, by status."""
        self.by_rouse: dict[int, int] = {}
        """Answers of our own, by status."""
        self.latency = [0] * (len(BUCKETS_S) + 1)
        """Requests by the time from head to last byte; upgraded connections are left out."""
        self.latency_sum_s = 0.0
        self.inflight = 0
        self.connections = 0
        self.bytes_in = 0
        """Bodies and tunnels, from clients."""
        self.bytes_out = 0
        """Bodies and tunnels, to clients."""
        self.repeats: dict[str, int] = {"stale-route": 0, "refused": 0, "reused": 0, "fenced": 0}
        """Requests sent again, by cause (A77)."""
        self.aborted = 0
        """Exchanges that the client left before their end."""
        self.broken_off = 0
        """Answers that broke after their head had been sent (A79)."""
        self.upgrades = 0

    def __repr__(self) -> str:
        done = sum(self.by_actor.values()) + sum(self.by_rouse.values())
        return f"<Meters {done} done, {self.inflight} in flight, {self.connections} connections>"

    def ended(self, bytes_in: int, bytes_out: int) -> None:
        """An exchange is over, however."""
        self.inflight -= 1
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out

    def answered(self, status: int, from_actor: bool, took_s: float) -> None:
        counts = self.by_actor if from_actor else self.by_rouse
        counts[status] = counts.get(status, 0) + 1
        if status == 101:
            return
        bucket = 0
        # Most fall into the first ones.
        while bucket < len(BUCKETS_S) and took_s > BUCKETS_S[bucket]:
            bucket += 1
        self.latency[bucket] += 1
        self.latency_sum_s += took_s
