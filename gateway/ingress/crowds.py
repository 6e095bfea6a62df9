"""Crowds: how many requests are open on each actor. No I/O and no clock."""


class Crowds:
    """So that the callers of one actor can't use up what all share (A51)."""

    def __init__(self, *, per_actor: int) -> None:
        self._per_actor = per_actor
        self._open: dict[bytes, int] = {}

    def __repr__(self) -> str:
        return f"<Crowds {sum(self._open.values())} requests, {len(self._open)} actors>"

    def enter(self, actor: bytes) -> bool:
        """False when it is one too many. A True is matched by one `leave`."""
        count = self._open.get(actor, 0)
        if count >= self._per_actor:
            return False
        self._open[actor] = count + 1
        return True

    def leave(self, actor: bytes) -> None:
        left = self._open[actor] - 1
        if left:
            self._open[actor] = left
        else:
            del self._open[actor]
