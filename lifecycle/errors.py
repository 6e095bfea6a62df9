"""What can go wrong with an actor, by whose fault it is. One table at the edge maps it to HTTP."""

from placement.model import ActorId


class LifecycleError(Exception):
    """Root. `retry_after_s` is None where repeating cannot help by itself."""

    retry_after_s: float | None = None

    def __init__(self, message: str, *, actor: ActorId | None = None) -> None:
        super().__init__(message)
        self.actor = actor


class NoSuchActor(LifecycleError):
    """No record, and no template that may create one."""


class NoSuchPort(LifecycleError):
    """The actor's template declares no such port."""


class NoSuchTemplate(LifecycleError):
    """The actor's template is not there (any more)."""


class NoSuchWorker(LifecycleError):
    """No worker of that id."""


class TemplateInUse(LifecycleError):
    """Actors are of this template, so it is deleted only by force."""


class TemplateConflict(LifecycleError):
    """Another template of the namespace makes actors on request already."""


class ActorExists(LifecycleError):
    """Create of a name that is taken."""


class WrongNamespace(LifecycleError):
    """An actor is forked within its namespace only."""


class ActorBusy(LifecycleError):
    """Tickets are out, so the suspend asked for was not begun."""


class NotSuspended(LifecycleError):
    """The operation wants a suspended actor."""


class NoCapacity(LifecycleError):
    """No worker can take it within the caller's budget."""

    retry_after_s = 1.0


class WakeTimedOut(LifecycleError):
    """The caller's own budget ended first; the wake itself goes on."""

    retry_after_s = 1.0


class StartFailed(LifecycleError):
    """The program could not be started or did not become ready; nothing was sent to it."""

    retry_after_s = 1.0

    def __init__(
        self, message: str, *, actor: ActorId | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, actor=actor)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class ShuttingDown(LifecycleError):
    """This worker drains; another one, or this one later, will do."""

    retry_after_s = 1.0


class QueueFull(LifecycleError):
    """As many callers wait for this actor as its template allows."""

    retry_after_s = 1.0


class QuotaReached(LifecycleError):
    """As many actors of its namespace run as may; nothing was sent to it."""

    retry_after_s = 1.0


class Fenced(LifecycleError):
    """The lease is over or the record has another owner: nothing may be served or written."""

    retry_after_s = 1.0


class DependencyAway(LifecycleError):
    """Redis, the snapshot store or a worker cannot be reached; says which."""

    retry_after_s = 1.0


class NotHere(LifecycleError):
    """This door has no such copy: the route that led here is stale. Never leaves our own hops."""


class SnapshotRefused(LifecycleError):
    """A snapshot is damaged, truncated, foreign or missing; the message names it (P6)."""


class SnapshotFailed(LifecycleError):
    """This worker could not read or write the actor's files (disk full, a file that changes):
    nothing was promoted, what was there before still is."""

    retry_after_s = 1.0
