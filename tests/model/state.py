"""One state of the modelled world: a record, two workers with their leases, two gateways, and the
calls that are still on their way. Everything that only grows is counted from the record's present
epoch and revision, so that endless histories are finitely many states."""

from typing import NamedTuple

from placement.model import ActorState
from tests.model.semantics import Call, Row, Shown, shown_by

NAMES = ("a", "b")
BASE = 2
LAG = 5
"""Writes that a replica is behind at most: a whole wake and suspend, and one more."""
"""The record's epoch and revision in every state; less is older, 0 is long ago."""


class Violation(Exception):
    """A promise broken; the message begins with its name."""


class Held(NamedTuple):
    """What a residence knows of the record: `Residence.record`."""

    state: ActorState
    fence: Shown
    snapshot: int = 0

    def row(self) -> Row:
        f = self.fence
        return Row(f.uid, self.state, f.epoch, f.revision, self.snapshot, f.worker, f.incarnation)


class Left(NamedTuple):
    """`places.Note`, as far as it decides."""

    epoch: int
    claimants: tuple[str, ...] = ()
    was_ready: bool = False


class Worker(NamedTuple):
    """A worker and its residence of the actor. It is stopped by not being chosen to step."""

    inc: str
    """Incarnation of the process, or of its next lease."""
    lease: str
    """valid | ending (no renewal comes through) | over (by its own clock, unnoticed or not yet
    noticed) | new (to be registered) | dead (no process)."""
    store: str = ""
    """The incarnation that has the lease in the store."""
    at: str = ""
    """The await that the residence's task stands before; empty: no residence."""
    is_open: bool = False
    """Phase RUNNING and the gate open."""
    is_frozen: bool = False
    me: str = ""
    """The claimant's incarnation, as the task took it before an await."""
    held: Held | None = None
    seen: Shown | None = None
    call: str = ""
    """Id of a call without an answer, which is repeated."""
    left: Left | None = None
    """The note on disk."""
    is_alive: bool = False
    """The actor's process."""
    saved: int = 0
    """The snapshot to promote: 1 its manifest is durable, 2 it is not."""
    looks_back: bool = False
    """Started anew, with a note to look at once registered."""
    has_looked: bool = True
    """Since the failover it has compared what it runs, and nothing of it is in doubt."""
    is_settled: bool = True
    """It knows that every worker has looked."""
    doubt: int = 0
    """1: its record says otherwise, it may serve until the lease as of the look before is over;
    2: that is over; 3: a write was refused, and nothing is served before it is known why."""
    was_refused: bool = False
    has_lapsed: bool = False
    """Since the failover its lease was over."""
    slept: Row | None = None
    """The answer to the suspend that it made last."""


class Gateway(NamedTuple):
    stage: str = ""
    """empty | waits (wake asked, or at a shut gate) | ticket | sent (the actor has the first byte,
    no head is out). What it has cached is not kept: it may be any route at any time."""
    worker: int = 0


class State(NamedTuple):
    row: Row
    workers: tuple[Worker, ...]
    gateways: tuple[Gateway, ...]
    late: tuple[Call, ...] = ()
    """Calls on their way whose client gave up, or asked again."""
    faults: int = 0
    uncopied: Row | None = None
    """The record as a replica has it, where replicas are not waited for."""
    has_failed_over: bool = False

    def at(self, i: int, **change: object) -> "State":
        """With this change of a worker."""
        workers = list(self.workers)
        workers[i] = workers[i]._replace(**change)  # type: ignore[arg-type] # by field name
        return self._replace(workers=tuple(workers))

    def cut(self, i: int, *stages: str) -> "State":
        """Requests in these stages at worker i end; their gateways look again."""
        gateways = tuple(
            Gateway() if g.worker == i and g.stage in stages else g for g in self.gateways
        )
        return self._replace(gateways=gateways)

    def count(self, i: int, *stages: str) -> int:
        return sum(1 for g in self.gateways if g.stage in stages and g.worker == i)


def vacant(worker: Worker) -> Worker:
    """The same worker without a residence."""
    return Worker(
        inc=worker.inc,
        lease=worker.lease,
        store=worker.store,
        has_looked=worker.has_looked,
        is_settled=worker.is_settled,
        has_lapsed=worker.has_lapsed,
        slept=worker.slept,
    )


def is_leased(worker: Worker, incarnation: str | None = None) -> bool:
    """`Host.has_lease`."""
    if worker.lease not in ("valid", "ending"):
        return False
    return incarnation is None or incarnation == worker.inc


def may_serve(worker: Worker) -> bool:
    """`Residence.may_serve`."""
    return (
        worker.is_open
        and worker.doubt < 2
        and worker.held is not None
        and is_leased(worker, worker.held.fence.incarnation)
    )


def initial(gateways: int) -> State:
    row = Row("u", ActorState.SUSPENDED, BASE, BASE)
    workers = tuple(Worker(inc=n + "1", lease="valid", store=n + "1") for n in NAMES)
    return State(row, workers, (Gateway(),) * gateways)


def canonical(state: State) -> State:
    """The same state counted from BASE, with its gateways in order and dead names dropped."""
    row, gateways = state.row, tuple(sorted(state.gateways))
    if gateways != state.gateways:
        state = state._replace(gateways=gateways)
    by_epoch, by_revision = BASE - row.epoch, BASE - row.revision
    if by_epoch or by_revision:
        state = _shifted(state, by_epoch, by_revision)
    known = {call.id for call in state.late} | {w.call for w in state.workers}
    if row.call and row.call not in known:
        state = state._replace(row=state.row._replace(call=""))
    if state.uncopied is not None and state.uncopied.call not in known:
        state = state._replace(uncopied=state.uncopied._replace(call=""))
    if state.uncopied is None and not state.has_failed_over and any(w.slept for w in state.workers):
        workers = tuple(w._replace(slept=None) for w in state.workers)
        state = state._replace(workers=workers)
    return state


def _shifted(state: State, by_epoch: int, by_revision: int) -> State:
    def fence(shown: Shown | None) -> Shown | None:
        if shown is None:
            return None
        return shown._replace(
            epoch=max(0, shown.epoch + by_epoch), revision=max(0, shown.revision + by_revision)
        )

    def row(r: Row) -> Row:
        # Exact, where a failover may make it the present again; long ago is dropped elsewhere.
        return r._replace(epoch=r.epoch + by_epoch, revision=r.revision + by_revision)

    def worker(w: Worker) -> Worker:
        if w.held is None and w.seen is None and w.left is None and w.slept is None:
            return w
        held = w.held and w.held._replace(fence=fence(w.held.fence))  # type: ignore[arg-type]
        left = w.left and w.left._replace(epoch=max(0, w.left.epoch + by_epoch))
        slept = w.slept and row(w.slept)
        if slept is not None and slept.revision < BASE - LAG:
            slept = None
        return w._replace(held=held, seen=fence(w.seen), left=left, slept=slept)

    return state._replace(
        row=row(state.row),
        workers=tuple(worker(w) for w in state.workers),
        late=tuple(
            call._replace(fence=fence(call.fence), mine=call.mine and row(call.mine))
            for call in state.late
        ),
        uncopied=state.uncopied and row(state.uncopied),
    )


def holding(row: Row) -> Held:
    return Held(row.state, shown_by(row), row.snapshot)
