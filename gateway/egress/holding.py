"""How much of requests' bodies is held while decisions rest on them: bounded for one copy of an
actor, and for all."""

from collections import Counter

from gateway.egress.refusals import Refusal, Refused

MOST_HELD_OF_ONE = 64 * 2**20
MOST_HELD = 256 * 2**20


class Lease:
    """What is held for one request. Given back once, by whoever ends it."""

    __slots__ = ("_holding", "_key", "_size")

    def __init__(self, holding: "Holding", key: str) -> None:
        self._holding, self._key, self._size = holding, key, 0

    def take(self, size: int) -> None:
        """Raises Refusal."""
        self._holding.take(self._key, size)
        self._size += size

    def give_back(self) -> None:
        size, self._size = self._size, 0
        self._holding.give_back(self._key, size)


class Holding:
    """Counts what is held, by copy."""

    def __init__(self) -> None:
        self._by: Counter[str] = Counter()
        self.total = 0

    def __repr__(self) -> str:
        return f"<Holding {self.total} bytes for {len(self._by)}>"

    def take(self, key: str, size: int) -> None:
        """Raises Refusal."""
        if self.total + size > MOST_HELD or self._by[key] + size > MOST_HELD_OF_ONE:
            raise Refusal(Refused.BUSY, "send it again in a moment")
        self._by[key] += size
        self.total += size

    def give_back(self, key: str, size: int) -> None:
        self.total -= size
        self._by[key] -= size
        if self._by[key] <= 0:
            del self._by[key]
