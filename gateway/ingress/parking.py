"""Parking: how many requests may wait for one actor and in all. No I/O and no clock."""

from placement.model import ActorId


class Parking:
    """Counts who waits. Every `enter` that was let in is matched by one `leave` (A13)."""

    def __init__(self, *, per_actor: int, total: int) -> None:
        self._per_actor = per_actor
        self._total = total
        self._waiting: dict[ActorId, int] = {}
        self.count = 0

    def __repr__(self) -> str:
        return f"<Parking {self.count} waiting, {len(self._waiting)} actors>"

    def enter(self, actor: ActorId) -> str | None:
        """None when the request may wait, else the reason why not, fit for its sender."""
        if self.count >= self._total:
            return "too many requests wait for actors here"
        if self._waiting.get(actor, 0) >= self._per_actor:
            return "too many requests wait for this actor"
        self._waiting[actor] = self._waiting.get(actor, 0) + 1
        self.count += 1
        return None

    def leave(self, actor: ActorId) -> None:
        left = self._waiting[actor] - 1
        if left:
            self._waiting[actor] = left
        else:
            del self._waiting[actor]
        self.count -= 1

    def waiting(self, actor: ActorId) -> int:
        return self._waiting.get(actor, 0)
