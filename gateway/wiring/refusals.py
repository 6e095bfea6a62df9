"""What a client is told when the lifecycle refuses: one table from its errors to reasons.

A message goes out only where it speaks of the client's own actor; what speaks of our machines is
logged with the request's id, and the client gets a general sentence (A78, R31).
"""

import logging
import re

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
    errors.QuotaReached: Reason.QUOTA,
    errors.NotHere: Reason.STALE_ROUTE,
    errors.Fenced: Reason.UNAVAILABLE,
    errors.DependencyAway: Reason.UNAVAILABLE,
    # Of the control API; a request for an actor never meets them.
    errors.NoSuchWorker: Reason.UNAVAILABLE,
    errors.TemplateInUse: Reason.UNAVAILABLE,
    errors.TemplateConflict: Reason.UNAVAILABLE,
    errors.ActorExists: Reason.UNAVAILABLE,
    errors.ActorBusy: Reason.UNAVAILABLE,
    errors.NotSuspended: Reason.UNAVAILABLE,
    errors.WrongNamespace: Reason.UNAVAILABLE,
}
_OWN_WORDS = frozenset(
    {
        errors.NoSuchActor,
        errors.NoSuchTemplate,
        errors.NoSuchPort,
        errors.StartFailed,
        errors.ShuttingDown,
        errors.QueueFull,
        errors.QuotaReached,
        errors.NotHere,
    }
)
"""Their messages speak of the actor that was asked for."""
_GENERAL = "this actor cannot be reached just now"
_OURS = {
    errors.Fenced: "the actor's worker cannot serve just now",
    errors.DependencyAway: "something that rouse needs to reach this actor is away",
    errors.SnapshotRefused: "the actor's snapshot cannot be used",
    errors.NoCapacity: "no worker has room for this actor just now",
    errors.WakeTimedOut: "the actor is still waking",
    errors.SnapshotFailed: "the actor's files cannot be read just now",
}
# What a driver says of a program may name our directories and addresses. A single `/healthz` or
# `/data` is the template's own word.
_INTERNAL = re.compile(
    r"(?<![\w./-])(?:unix:)?(?:/[\w.~+@=-]+){2,}/?"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?"
    r"|\[[0-9a-fA-F:]{2,}\](?::\d+)?"
)


def refusal(error: LifecycleError, actor: ActorId, request_id: str) -> Refusal:
    """The answer for a client; what it must not see is in the log under the request's id."""
    kind = type(error)
    said = str(error)
    told = _INTERNAL.sub("(..)", said) if kind in _OWN_WORDS else _OURS.get(kind, _GENERAL)
    if told != said:
        log.warning(
            "request refused",
            extra={"actor": str(actor), "request_id": request_id, "why": said},
        )
    return Refusal(
        REASONS.get(kind, Reason.UNAVAILABLE),
        told,
        actor=actor,
        retry_after_s=error.retry_after_s,
    )
