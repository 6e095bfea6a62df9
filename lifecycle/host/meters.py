"""What a worker counts. Plain numbers, read by the telemetry collector when somebody asks."""

from bisect import bisect_left
from collections import Counter

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Histogram:
    """Counts per upper bound (seconds), cumulated only when read."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        total, out = 0, []
        for bound, count in zip((*BUCKETS_S, None), self.counts, strict=True):
            total += count
            out.append(("+Inf" if bound is None else str(bound), float(total)))
        return out


class HostMeters:
    """Wakes by (result, kind), suspends by (result, cause), and where a wake's time went."""

    def __init__(self) -> None:
        self.wakes: Counter[tuple[str, str]] = Counter()
        self.suspends: Counter[tuple[str, str]] = Counter()
        self.phases: dict[str, Histogram] = {}
        self.snapshot_bytes: Counter[str] = Counter()
        self.hung = 0
        self.checkpoints: Counter[str] = Counter()
        self.forgotten: Counter[str] = Counter()
        """What the table had forgotten: actors `owned` anew, suspends `committed` anew, copies
        `ended` because somebody else has the actor since."""
        self.fenced = 0
        """Times this worker lost its lease and stopped serving."""

    def phase(self, name: str, seconds: float) -> None:
        histogram = self.phases.get(name)
        if histogram is None:
            histogram = self.phases[name] = Histogram()
        histogram.observe(seconds)
