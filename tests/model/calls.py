"""How a worker's call to the table may end: answered, executed without an answer, still on its way,
given up (`Residence.write`, `repeat.until_known`)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from placement.model import Operation, Outcome
from tests.model.semantics import Call, Row, Shown, apply, is_fence_right
from tests.model.state import LAG, NAMES, State, Violation, holding, is_leased

Steps = Iterator[tuple[str, State]]
Then = Callable[[State, Outcome, Row], Steps]

PROMOTES = (Operation.CHECKPOINTED, Operation.COMMIT_SUSPEND)
OLDER = 3
"""Of a snapshot: its owner has a later one by now."""
_IDS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How far the model goes, and what is wrong in it on purpose."""

    faults: int = 2
    """Lapsed leases, crashes, lost and late calls, exits, passed deadlines in one history."""
    late: int = 1
    """Calls that may be on their way at once."""
    failover: bool = False
    """Replicas are not waited for, so that a failover forgets writes. One in a history."""
    only_p1: bool = False
    """Over a failover, what a worker forgets that stands still or dies is no finding (P2)."""
    gateways: int = 2
    checkpoints: bool = False
    """A copy that runs is saved now and then."""
    bug: str = ""
    """A planted mistake, by its name in test_model.BUGS."""

    def may_fail(self, state: State) -> bool:
        """One more fault, beside the failover that is still to come."""
        kept = self.failover and not state.has_failed_over
        return state.faults + kept < self.faults


def execute(rules: Rules, state: State, call: Call) -> tuple[Outcome, State]:
    """The script runs; whatever it may never do is checked here."""
    row = state.row
    if rules.bug == "no fence check":
        outcome, after = apply(row, call, lambda row, fence: row.is_owned)
    elif rules.bug == "no revision in the fence":
        outcome, after = apply(
            row,
            call,
            lambda row, fence: is_fence_right(row._replace(revision=fence.revision), fence),
        )
    else:
        outcome, after = apply(row, call)
    if after is row:
        return outcome, state
    if call.operation in PROMOTES:
        _check_promotion(state, call)
    return outcome, state._replace(row=after, uncopied=_uncopied(rules, state, call))


def _uncopied(rules: Rules, state: State, call: Call) -> Row | None:
    """Behind by this write, or by more; marked when what it does not have is a snapshot."""
    if not rules.failover or state.has_failed_over:
        return None
    behind = state.uncopied or state.row._replace(call="")
    if behind.revision < state.row.revision - LAG:
        return None
    return behind._replace(snapshot=-1) if call.operation in PROMOTES else behind


def _check_promotion(state: State, call: Call) -> None:
    row, fence = state.row, call.fence
    assert fence is not None
    if (fence.epoch, fence.worker, fence.incarnation) != (row.epoch, row.worker, row.incarnation):
        raise Violation("P1: the snapshot of a stale copy wins")
    if call.snapshot == OLDER:
        raise Violation("P2: an older snapshot takes the place of a newer one")
    if call.snapshot != 1:
        raise Violation("P2: a snapshot is promoted whose manifest is not durable")
    is_given_up = call.operation is Operation.COMMIT_SUSPEND
    if is_given_up and state.workers[NAMES.index(fence.worker)].is_open:
        raise Violation("P2: a copy that serves is given up for a snapshot made before")


def table_call(
    rules: Rules,
    state: State,
    i: int,
    operation: Operation,
    then: Then,
    *,
    fence: Shown | None,
    gives_up: Callable[[State], Steps],
    incarnation: str = "",
    snapshot: int = 0,
    mine: Row | None = None,
) -> Steps:
    """Every ending of one call by worker i. `gives_up` says where the program goes on when no
    answer came; it decides itself whether it may."""
    worker, name = state.workers[i], operation.value
    used = {c.id for c in state.late} | {w.call for w in state.workers} | {state.row.call}
    ident = worker.call or next(each for each in _IDS if each not in used)
    call = Call(ident, operation, fence, NAMES[i], incarnation, snapshot, mine=mine)
    outcome, done = execute(rules, state, call)
    for label, after in then(done.at(i, call=""), outcome, done.row):
        yield f"{name}: {outcome}{label}", after
    if worker.call:
        for label, after in gives_up(state.at(i, call="")):
            yield f"{name}: given up{label}", after
    elif rules.may_fail(state):
        spent = done._replace(faults=state.faults + 1)
        if done.row is not state.row:
            yield f"!{name}: done, answer lost", spent.at(i, call=ident)
        if len(state.late) < rules.late:
            on_its_way = state._replace(late=(*state.late, call), faults=state.faults + 1)
            yield f"!{name}: on its way", on_its_way.at(i, call=ident)


def write(
    rules: Rules,
    state: State,
    i: int,
    operation: Operation,
    done: Callable[[State], Steps],
    *,
    superseded: Callable[[State], Steps],
    lease_lost: Callable[[State], Steps],
) -> Steps:
    """`Residence.write`: a fenced call by the residence."""
    worker = state.workers[i]
    assert worker.held is not None
    incarnation = worker.held.fence.incarnation

    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        if outcome is not Outcome.DONE:
            yield from superseded(after)
            return
        yield from done(after.at(i, held=holding(row)))

    def gives_up(after: State) -> Steps:
        if not is_leased(after.workers[i], incarnation):
            yield from lease_lost(after)

    yield from table_call(
        rules,
        state,
        i,
        operation,
        then,
        fence=worker.held.fence,
        gives_up=gives_up,
        snapshot=worker.saved if operation in PROMOTES else 0,
    )
