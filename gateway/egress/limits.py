"""Rate limits: token buckets that start full, filled in steps, by route and key. No clock."""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.egress.config.model import Rate

MOST_BUCKETS = 100_000


@dataclass(slots=True)
class _Bucket:
    left: float
    filled_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a bucket stands after it was asked."""

    admitted: bool
    limit: int
    left: int
    wait_s: float
    """Until the next fill."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        wait = str(max(1, round(self.wait_s + 0.5)))
        return (
            ("x-ratelimit-limit", str(self.limit)),
            ("x-ratelimit-remaining", str(self.left)),
            ("x-ratelimit-reset", wait),
            ("retry-after", wait),
        )


class Buckets:
    """Bounded: the bucket that was not asked for longest goes, and is full when it comes again."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._buckets: OrderedDict[object, _Bucket] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Buckets {len(self._buckets)}>"

    def take(self, key: object, rate: Rate, now: float) -> Standing:
        """One token for a request; of a bucket of LLM tokens none is taken yet, but one must be
        left."""
        bucket = self._filled(key, rate, now)
        admitted = bucket.left >= 1
        if admitted and not rate.counts_llm:
            bucket.left -= 1
        return Standing(
            admitted=admitted,
            limit=rate.max_tokens,
            left=int(bucket.left),
            wait_s=rate.interval_s - (now - bucket.filled_at),
        )

    def reserve(self, key: object, rate: Rate, tokens: int, now: float) -> Standing:
        """So many, before the call, or none of them."""
        bucket = self._filled(key, rate, now)
        admitted = bucket.left >= tokens
        if admitted:
            bucket.left -= tokens
        return Standing(
            admitted=admitted,
            limit=rate.max_tokens,
            left=int(bucket.left),
            wait_s=rate.interval_s - (now - bucket.filled_at),
        )

    def charge(self, key: object, rate: Rate, tokens: int, now: float) -> None:
        """What a call really used, afterwards, beyond what was reserved (or less than that); never
        below nothing."""
        bucket = self._filled(key, rate, now)
        bucket.left = min(float(rate.max_tokens), max(0.0, bucket.left - tokens))

    def _filled(self, key: object, rate: Rate, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._most:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = _Bucket(float(rate.max_tokens), now)
            return bucket
        self._buckets.move_to_end(key)
        fills = int((now - bucket.filled_at) / rate.interval_s)
        if fills > 0:
            bucket.left = min(float(rate.max_tokens), bucket.left + fills * rate.per_fill)
            bucket.filled_at += fills * rate.interval_s
        return bucket
