"""What the proxy asks of the rest of rouse: who is behind a token, and are they still here."""

from typing import Protocol

from gateway.egress.ask import Actor


class Caller(Protocol):
    """One running copy of an actor. An open call keeps it awake (P5)."""

    @property
    def actor(self) -> Actor: ...

    @property
    def key(self) -> str:
        """Of this copy alone: what is kept for it is shared with no other one."""
        ...

    def is_here(self) -> bool:
        """Does it run here, under a lease that lives? Asked before anything is sent for it."""
        ...

    def begin_call(self) -> None: ...

    def end_call(self) -> None: ...

    def touch(self) -> None:
        """Data moved on something that is no call with an end, as a WebSocket."""
        ...


class Callers(Protocol):
    def by_token(self, token: str) -> Caller | None:
        """None for what is no token of an actor that runs here now."""
        ...
