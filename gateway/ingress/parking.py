"""Parking: how many requests may wait for one actor and in all, and how much of them is kept. No
I/O and no clock."""

from placement.model import ActorId


class Parking:
    """Counts who waits, and the bytes they brought. Every `enter` that was let in is matched by one
    `leave` with all the bytes that were held for it (A13)."""

    def __init__(self, *, per_actor: int, total: int, total_bytes: int = 2**40) -> None:
        self._per_actor = per_actor
        self._total = total
        self._total_bytes = total_bytes
        self._waiting: dict[ActorId, int] = {}
        self.count = 0
        self.held_bytes = 0

    def __repr__(self) -> str:
        held = f"{self.held_bytes} bytes"
        return f"<Parking {self.count} waiting, {len(self._waiting)} actors, {held}>"

    @property
    def has_room(self) -> bool:
        """Those who wait may bring more: else they are not read from until somebody left."""
        return self.held_bytes < self._total_bytes

    def enter(self, actor: ActorId, size: int = 0) -> str | None:
        """None when the request may wait, else the reason why not, fit for its sender."""
        if self.count >= self._total:
            return "too many requests wait for actors here"
        if self.held_bytes + size > self._total_bytes:
            return "the requests that wait for actors here are too large together"
        if self._waiting.get(actor, 0) >= self._per_actor:
            return "too many requests wait for this actor"
        self._waiting[actor] = self._waiting.get(actor, 0) + 1
        self.count += 1
        self.held_bytes += size
        return None

    def hold(self, size: int) -> None:
        """Who waits has brought so much more."""
        self.held_bytes += size

    def leave(self, actor: ActorId, size: int = 0) -> None:
        left = self._waiting[actor] - 1
        if left:
            self._waiting[actor] = left
        else:
            del self._waiting[actor]
        self.count -= 1
        self.held_bytes -= size

    def waiting(self, actor: ActorId) -> int:
        return self._waiting.get(actor, 0)
