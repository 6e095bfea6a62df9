"""Outgoing: a request's bytes on their way: those that wait for a connection, and those that were
sent and may have to be sent again. No I/O.

What may be sent again is bounded: a request that is longer is sent once.
"""

from typing import TYPE_CHECKING

from gateway.egress import retrying

if TYPE_CHECKING:
    from gateway.egress.plan import Plan

MOST_KEPT = 64 * 1024


class Outgoing:
    __slots__ = ("_head", "_kept", "_waiting", "size", "tries", "was_sent")

    def __init__(self, head: bytes) -> None:
        self._head = head
        """As it was sent, or will be; empty while it has to be signed."""
        self._kept: bytes | None = b""
        self._waiting: list[bytes] = []
        self.size = 0
        """Of what waits."""
        self.was_sent = False
        """Over the connection that is there now."""
        self.tries = 0
        """After the first one."""

    def __repr__(self) -> str:
        return f"<Outgoing {self.size} bytes wait, try {self.tries + 1}>"

    def wait(self, data: bytes) -> None:
        self._waiting.append(data)
        self.size += len(data)

    @property
    def body(self) -> bytes:
        """That waits for a head with a signature over it."""
        return b"".join(self._waiting)

    def signed(self, head: bytes) -> None:
        """Its head could be made at last."""
        self._head = head
        self._wait_for(head, *self._waiting)

    def _wait_for(self, *pieces: bytes) -> None:
        self._waiting, self.size = list(pieces), sum(map(len, pieces))

    def take(self) -> bytes:
        """All that waits, as it goes over a connection that is there."""
        data = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        self._wait_for()
        self.was_sent = True
        self.keep(data)
        return data

    def keep(self, data: bytes) -> None:
        if self._kept is not None:
            self._kept = self._kept + data if len(self._kept) + len(data) <= MOST_KEPT else None

    @property
    def is_kept(self) -> bool:
        return bool(self._kept)

    def repeat(self) -> None:
        """The same bytes once more, and then no more: nobody had looked at them."""
        self._wait_for(self._kept or b"")
        self._kept = None

    def may_try_again(self, plan: "Plan") -> bool:
        """Is there another try, and all that it needs?"""
        retry = plan.forward.retry
        has_it_all = plan.body is not None or self.is_kept or not self.was_sent
        return retry is not None and self.tries < retry.attempts and has_it_all and not plan.upgrade

    def rewind(self, plan: "Plan") -> None:
        """Back to where nothing was sent. What comes of the body meanwhile waits behind it."""
        self.tries += 1
        if plan.body is not None:
            body = plan.body
        elif self.was_sent:
            body = (self._kept or b"")[len(self._head) :]
        else:
            body = b"".join(self._waiting)[len(self._head) :]
        self._wait_for(body)
        self._kept, self.was_sent = b"", False

    def restart(self, plan: "Plan") -> None:
        """With the head, and perhaps the body, of the next try."""
        self._head = retrying.with_attempt(plan.head, self.tries)
        body = self._waiting if plan.body is None else [plan.body]
        self._wait_for(self._head, *body)
