"""The operations of the table as plain functions of one row: what lua/*.lua do, without a server.

The transitions' from-states and results are the product's own (`placement.model`); that the rest
means the same as the scripts is shown by test_semantics.py, against the real server.
"""

from collections.abc import Callable
from typing import NamedTuple

from placement.model import ALLOWED_FROM, OWNED, RESULT, ActorState, Operation, Outcome


class Row(NamedTuple):
    """An actor's record, without what no decision depends on."""

    uid: str
    state: ActorState
    epoch: int
    revision: int
    snapshot: int = 0
    worker: str = ""
    incarnation: str = ""
    call: str = ""
    """The last call that changed it."""
    failures: int = 0
    is_overdue: bool = False
    """WAKING: the deadline has passed. Whoever moves time sets it."""
    is_backing_off: bool = False
    """FAILED: its back-off has not ended."""

    @property
    def is_owned(self) -> bool:
        return self.state in OWNED


class Shown(NamedTuple):
    """A fence."""

    uid: str
    epoch: int
    worker: str
    incarnation: str
    revision: int


def shown_by(row: Row) -> Shown:
    return Shown(row.uid, row.epoch, row.worker, row.incarnation, row.revision)


class Call(NamedTuple):
    """One call to the table, as it may also be executed late or twice."""

    id: str
    operation: Operation
    fence: Shown | None = None
    worker: str = ""
    incarnation: str = ""
    snapshot: int = 0
    is_failure: bool = False
    threshold: int = 3
    mine: "Row | None" = None
    """Of reassert and recommit: what this owner was last told; `fence` is the record as seen."""


Result = tuple[Outcome, Row]
Fenced = Callable[[Row, Shown], bool]


def is_fence_right(row: Row, fence: Shown) -> bool:
    return bool(row.incarnation) and fence == shown_by(row)


def apply(row: Row, call: Call, is_right: Fenced = is_fence_right) -> Result:
    """What the script of this operation answers, and the row afterwards."""
    if call.operation is Operation.CLAIM:
        return _claim(row, call)
    assert call.fence is not None
    if call.mine is not None:
        return _restored(row, call, call.fence, call.mine)
    if _is_repeated(row, call, call.fence):
        return Outcome.DONE, row
    if not is_right(row, call.fence):
        return Outcome.STALE, row
    if row.state not in ALLOWED_FROM[call.operation]:
        return Outcome.WRONG_STATE, row
    if call.operation is Operation.TAKE_OVER:
        return _own(row, call)
    if call.operation is Operation.RELEASE:
        return _release(row, call)
    (to,) = RESULT[call.operation]
    change = row._replace(is_overdue=False)
    if call.operation is Operation.CHECKPOINTED:
        change = change._replace(snapshot=call.snapshot)
    if call.operation is Operation.COMMIT_SUSPEND:
        change = change._replace(snapshot=call.snapshot or row.snapshot, incarnation="", failures=0)
    return _moved(change, to, call)


def _claim(row: Row, call: Call) -> Result:
    if row.call == call.id:
        return Outcome.DONE, row
    (waking,) = RESULT[Operation.CLAIM]
    is_overdue = row.state is waking and row.is_overdue
    if row.state not in ALLOWED_FROM[Operation.CLAIM] and not is_overdue:
        return Outcome.HELD, row
    if row.is_backing_off:
        return Outcome.BACKING_OFF, row
    return _own(row, call)


def _own(row: Row, call: Call) -> Result:
    (waking,) = RESULT[Operation.CLAIM]
    owned = row._replace(
        epoch=row.epoch + 1, worker=call.worker, incarnation=call.incarnation, is_overdue=False
    )
    return _moved(owned, waking, call)


def _release(row: Row, call: Call) -> Result:
    failures = row.failures + call.is_failure
    is_failed = call.is_failure and failures >= call.threshold
    to = ActorState.FAILED if is_failed else ActorState.SUSPENDED
    freed = row._replace(incarnation="", failures=failures, is_overdue=False)
    return _moved(freed._replace(is_backing_off=is_failed), to, call)


def _restored(row: Row, call: Call, seen: Shown, mine: Row) -> Result:
    (to,) = RESULT[call.operation]
    is_owned = call.operation is Operation.REASSERT
    if row.call == (call.id if is_owned else call.id[:8]) and row.uid == mine.uid:
        return Outcome.DONE, row
    if (row.uid, row.revision) != (seen.uid, seen.revision):
        return Outcome.STALE, row
    known = mine._replace(
        revision=max(mine.revision, row.revision), is_overdue=False, is_backing_off=False
    )
    if is_owned:
        return _own(known, call)
    return _moved(known._replace(incarnation=""), to, call)


def _moved(row: Row, to: ActorState, call: Call) -> Result:
    moved = row._replace(state=to, revision=row.revision + 1, call=call.id)
    if moved.incarnation:
        return Outcome.DONE, moved
    return Outcome.DONE, moved._replace(call=call.id[:8])  # at rest, half of the id is kept


def _is_repeated(row: Row, call: Call, fence: Shown) -> bool:
    if row.incarnation:
        return row.call == call.id
    before = Shown(row.uid, row.epoch, row.worker, fence.incarnation, row.revision - 1)
    return row.call == call.id[:8] and fence == before
