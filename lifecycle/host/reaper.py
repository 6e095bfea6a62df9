"""When an actor sleeps: what its residence does next, from plain values. No I/O and no clock.

Idle means no ticket out, no call of its own open and nobody waiting, for the template's time (P5).
An order (a person, an eviction, a drain) comes before idleness; a request comes before an idle
suspend, never before one that a person asked for.
"""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    IDLE = "idle"
    EVICT = "evict"
    ASKED = "asked"
    DRAIN = "drain"
    EXIT = "exit"


YIELDS = frozenset({Cause.IDLE, Cause.EVICT})
"""A suspend for one of these causes is given up when a request comes in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A suspend that somebody asked for."""

    cause: Cause
    until: float
    """Loop time until which open tickets are waited for."""
    force: bool = False
    """Then cut what is still open; else the order is refused as busy."""
    discard: bool = False
    """Without a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The template's idle times in seconds; None: never."""

    freeze_after: float | None
    suspend_after: float | None
    checkpoint_every: float | None = None
    """`snapshot.every`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One actor as it is at `now` (loop time, seconds)."""

    now: float
    tickets: int
    waiting: int
    is_frozen: bool
    last_active: float
    calls: int = 0
    """Open calls of the actor to the outside."""
    order: Order | None = None
    not_before: float = 0.0
    """After a suspend that failed: no other try before this time."""
    save_at: float | None = None
    """A save was asked for, and from when on; None: none was."""
    looked_at: float = 0.0
    """When it was let in, or last saved or found unchanged."""


class Do(StrEnum):
    WAIT = "wait"
    CHECKPOINT = "checkpoint"
    """Save its files where they changed; it runs on."""
    FREEZE = "freeze"
    THAW = "thaw"
    SUSPEND = "suspend"
    CUT = "cut"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    do: Do
    until: float | None = None
    """WAIT only: look again at this time at the latest; None: when something stirs."""


def decide(view: View, rules: Rules) -> Step:
    """The next step of a running or frozen actor."""
    if view.order is not None:
        return _follow(view.order, view)
    # A call that was on its way when the actor was frozen: it has to hear the answer.
    if (view.waiting or view.calls) and view.is_frozen:
        return Step(do=Do.THAW)
    # Under traffic too: what never pauses would else never be saved.
    checkpoint_at = _sooner(view.save_at, _after(view.looked_at, rules.checkpoint_every))
    is_due = checkpoint_at is not None and view.now >= checkpoint_at
    if view.tickets or view.waiting or view.calls:
        return Step(do=Do.CHECKPOINT) if is_due else Step(do=Do.WAIT, until=checkpoint_at)
    step = _sleep(view, rules)
    if step.do is Do.SUSPEND or checkpoint_at is None:
        return step  # a suspend saves it too
    if is_due:
        return Step(do=Do.CHECKPOINT)
    if step.do is not Do.WAIT:
        return step
    return Step(do=Do.WAIT, until=min(checkpoint_at, step.until or checkpoint_at))


def _follow(order: Order, view: View) -> Step:
    if order.cause in YIELDS and (view.tickets or view.waiting or view.calls):
        return Step(do=Do.REFUSE)
    if not view.tickets and not view.calls:
        return Step(do=Do.SUSPEND)
    if view.now < order.until:
        return Step(do=Do.WAIT, until=order.until)
    return Step(do=Do.CUT if order.force else Do.REFUSE)


def _sleep(view: View, rules: Rules) -> Step:
    suspend_at = _after(view.last_active, rules.suspend_after)
    if suspend_at is not None:
        suspend_at = max(suspend_at, view.not_before)
        if view.now >= suspend_at:
            return Step(do=Do.SUSPEND)
    freeze_at = None if view.is_frozen else _after(view.last_active, rules.freeze_after)
    if freeze_at is not None and view.now >= freeze_at:
        return Step(do=Do.FREEZE)
    times = [t for t in (suspend_at, freeze_at) if t is not None]
    return Step(do=Do.WAIT, until=min(times) if times else None)


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _after(since: float, seconds: float | None) -> float | None:
    return None if seconds is None else since + seconds
