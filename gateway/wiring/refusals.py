"""What a client is told when the lifecycle refuses: one table from its errors to reasons.

A message goes out only where it speaks of the client's own actor; what speaks of our machines is
logged with the request's id, and the client gets a general sentence (A78, R31).
"""

import logging

from gateway.ingress.seams import Reason, Refusal
from lifecycle import errors
from lifecycle.errors import LifecycleError
from placement.model import ActorId

log = logging.getLogger(__name__)

REASONS: dict[type[LifecycleError], Reason] = {
    errors.NoSuchActor: Reason.NO_ACTOR,
    errors.NoSuchTemplate: Reason.FAILED_START,
    errors.NoSuchPort: Reason.NO_PORT,
    errors.NoCapacity: Reason.NO_CAPACITY,
    errors.WakeTimedOut: Reason.WAKING,
    errors.StartFailed: Reason.FAILED_START,
    errors.SnapshotRefused: Reason.FAILED_START,
    errors.SnapshotFailed: Reason.UNAVAILABLE,
    errors.ShuttingDown: Reason.SHUTTING_DOWN,
    errors.QueueFull: Reason.QUEUE_FULL,
    errors.NotHere: Reason.STALE_ROUTE,
    errors.Fenced: Reason.UNAVAILABLE,
    errors.DependencyAway: Reason.UNAVAILABLE,
}
_OURS = {
    errors.Fenced: "the actor's worker cannot serve just now",
    errors.DependencyAway: "something that rouse needs to reach this actor is away",
    errors.SnapshotRefused: "the actor's snapshot cannot be used",
    errors.NoCapacity: "no worker has room for this actor just now",
    errors.WakeTimedOut: "the actor is still waking",
}


def refusal(error: LifecycleError, actor: ActorId, request_id: str) -> Refusal:
    """The answer for a client; what it must not see is in the log under the request's id."""
    kind = type(error)
    sentence = _OURS.get(kind)
    if sentence is not None:
        log.warning(
            "request refused",
            extra={"actor": str(actor), "request_id": request_id, "why": str(error)},
        )
    return Refusal(
        REASONS.get(kind, Reason.UNAVAILABLE),
        sentence or str(error),
        actor=actor,
        retry_after_s=error.retry_after_s,
    )
