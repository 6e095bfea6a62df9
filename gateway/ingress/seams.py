"""What the relay asks of whoever knows the way: the Usher, and the tickets it gives out."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from placement.model import ActorId


class Reason(StrEnum):
    """`reason` of an error answer; `failures` maps each to a status and a sentence."""

    BAD_REQUEST = "bad-request"
    TARGET_TOO_LONG = "target-too-long"
    HEAD_TOO_LARGE = "head-too-large"
    NOT_IMPLEMENTED = "not-implemented"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BAD_NAME = "bad-name"
    NO_ACTOR = "no-actor"
    NO_PORT = "no-port"
    QUEUE_FULL = "queue-full"
    RATE_LIMITED = "rate-limited"
    """This client begins requests faster than it may; nothing was sent."""
    QUOTA = "quota"
    """As many actors of this namespace run as may; nothing was sent."""
    WAKING = "waking"
    NO_CAPACITY = "no-capacity"
    FAILED_START = "failed-start"
    SHUTTING_DOWN = "shutting-down"
    UNAVAILABLE = "unavailable"
    """Something of ours (table, store, worker) is away; nothing was sent."""
    BROKEN = "broken"
    """The actor broke the connection or spoke nonsense before a complete head."""
    NO_ANSWER = "no-answer"
    """It was sent and no answer came in time."""
    STALE_ROUTE = "stale-route"
    """Between our own hops only: the actor is not at this door."""


class Refusal(Exception):
    """We answer the request; nothing of it was sent to the actor unless `reason` says so."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        actor: ActorId | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.actor = actor
        self.retry_after_s = retry_after_s
        self.is_page = False
        """A browser waits for it, and may be shown the waiting page instead of JSON (A3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the relay knows of a request when it asks where it goes."""

    actor: ActorId
    port: str = ""
    """A declared port's name or number; empty for the main one."""
    uid: str | None = None
    """At a door: the uid that the edge's route was made for."""
    epoch: int | None = None
    """At a door: the epoch that the edge's route was made for."""
    request_id: str = ""
    is_quiet: bool = False
    """No activity of the actor, and nothing to wake it for (A4)."""
    navigates: bool = False
    """A browser would show what comes."""
    deadline: float = 0.0
    """Loop time (seconds) at which this caller stops waiting for a wake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeReport:
    """Where the time of a wake went, in milliseconds, as the caller that waited for it saw it."""

    kind: str
    """`cold` (restored from a snapshot or started) or `thaw` (was only frozen)."""
    phases: tuple[tuple[str, float], ...]
    """In order: total, queue, claim, fetch, restore, ready; of a thaw only total."""


class Woken(Protocol):
    """A WakeReport, or what else tells the same."""

    @property
    def kind(self) -> str: ...

    @property
    def phases(self) -> tuple[tuple[str, float], ...]: ...


class Target(Protocol):
    """Where to connect: a TCP or unix address, perhaps in another network namespace."""

    @property
    def sockaddr(self) -> tuple[str, int] | str: ...

    def open_socket(self) -> socket.socket:
        """A non-blocking, unconnected socket for `sockaddr`. Raises OSError when it is gone."""
        ...


class Ticket(Protocol):
    """One open request or stream on an actor. It cannot be suspended before `close`."""

    @property
    def target(self) -> Target: ...

    @property
    def pool_key(self) -> object:
        """Connections are reused only between tickets whose keys are equal (one copy of one actor,
        one port; or one door)."""
        ...

    @property
    def hop_fields(self) -> bytes:
        """Header lines for this hop only, each ended by CRLF: names the actor to the next door.
        Empty when the target is the actor itself."""
        ...

    @property
    def is_hop(self) -> bool:
        """The target is another door of ours, whose stale-route answer may be acted on."""
        ...

    @property
    def wake(self) -> Woken | None:
        """Set when this request waited for its actor; None on the warm path."""
        ...

    def is_valid(self) -> bool:
        """Does this worker still own the actor? Asked directly before the first byte goes to the
        target and directly before a response head goes to the client (design, section 4)."""
        ...

    def touch(self) -> None:
        """Something that counts as activity went through (P5)."""
        ...

    def on_cut(self, cut: Callable[[], None]) -> None:
        """Leave what the owner calls when this ticket must end now (forced suspend, lost lease):
        it ends the exchange at once and then, as always, calls `close`."""
        ...

    def close(self) -> None:
        """The request is over. Called exactly once, whatever happened."""
        ...


class Usher(Protocol):
    """Finds the way for a request."""

    def admit(self, demand: Demand) -> Ticket | None:
        """The warm path: no await, no I/O. None when this needs `admit_waiting`."""
        ...

    async def admit_waiting(self, demand: Demand) -> Ticket:
        """Wake, thaw or wait, at most until `demand.deadline`. Raises Refusal. Cancelling it gives
        up this caller's wait only."""
        ...

    def forget(self, demand: Demand, ticket: Ticket) -> None:
        """The way that `ticket` took is stale (refused connect, stale-route answer): do not offer
        it again without looking."""
        ...
