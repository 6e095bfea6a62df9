"""Errands: work that one of all workers should do, and that two may do without harm.

An errand is whoever's that took it first, until its time is over; nobody gives one back, so what
fails is tried again only then.
"""

from typing import Any

from placement import keys
from placement.connect import Client, ask


class Errands:
    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def take(self, name: str, owner: str, *, lasts_ms: int) -> bool:
        """Is it ours? Raises Unavailable: then nobody may have it until its time is over."""
        key = keys.errand_key(name)
        answer: Any = await ask(self._redis, "SET", key, owner, "NX", "PX", lasts_ms)
        return answer is not None
