"""lifecycle/host/waking.py, one await at a time; the names of the places are those of its steps."""

from placement.forgotten import Verdict, judge
from placement.model import Operation, Outcome
from tests.model.calls import Rules, Steps, table_call, write
from tests.model.semantics import Row, shown_by
from tests.model.state import NAMES, Left, State, Violation, holding, vacant


def begins(state: State, i: int) -> State:
    """`Host._begin`: a residence, before `_claim`, which takes its claimant now."""
    return state.at(i, at="claim", me=state.workers[i].inc)


def gone(state: State, i: int) -> State:
    """`life._leave`: no process, no files, nobody left waiting."""
    workers = list(state.workers)
    workers[i] = vacant(workers[i])
    return state.cut(i, "ticket", "sent")._replace(workers=tuple(workers))


def leaves(state: State, i: int) -> Steps:
    yield "", gone(state, i)


def refused(state: State, i: int) -> State:
    """`_refuse`: whoever waits for the wake is told."""
    return state.cut(i, "waits")


def claim(rules: Rules, state: State, i: int) -> Steps:
    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        if outcome is Outcome.DONE:
            yield "", _claimed(after, i)
        elif outcome is Outcome.HELD:
            mine = (row.worker, row.incarnation) == (NAMES[i], after.workers[i].me)
            step = "settle_release" if mine else "settle_look"
            slept = after.workers[i].slept
            if mine and slept is not None and judge(slept, row) is Verdict.OURS:
                step = "commit_again"
            yield "", after.at(i, at=step, seen=shown_by(row))

    def unknown(after: State) -> Steps:
        # `_known`: leave_unsure, DependencyAway.
        yield "", gone(refused(after, i), i)

    me = state.workers[i].me
    yield from table_call(
        rules, state, i, Operation.CLAIM, then, fence=None, gives_up=unknown, incarnation=me
    )


def settle_release(rules: Rules, state: State, i: int) -> Steps:
    """`_settle_held`: a claim of ours whose answer was lost."""

    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        yield "", after.at(i, at="claim", seen=None)

    def unknown(after: State) -> Steps:
        yield "", gone(refused(after, i), i)

    seen = state.workers[i].seen
    yield from table_call(rules, state, i, Operation.RELEASE, then, fence=seen, gives_up=unknown)


def settle_look(rules: Rules, state: State, i: int) -> Steps:
    """`Leases.is_over`: the holder now."""
    seen = state.workers[i].seen
    assert seen is not None
    owner = NAMES.index(seen.worker)
    if state.workers[owner].store == seen.incarnation and rules.bug != "no look at the lease":
        # There: who waits follows to the owner.
        moved = gone(state, i)
        gateways = tuple(
            g._replace(worker=owner) if g.stage == "waits" and g.worker == i else g
            for g in moved.gateways
        )
        yield "is_over: False", moved._replace(gateways=gateways)
    else:
        yield "is_over: nobody has it", state.at(i, at="settle_margin")


def is_margin_over(rules: Rules, state: State, worker: str, incarnation: str) -> bool:
    """By now the owner's own clock has ended the term that was lapsing in the store: that is what
    the margin is for."""
    if rules.bug in ("no margin", "no look at the lease"):
        return True
    owner = state.workers[NAMES.index(worker)]
    return owner.inc != incarnation or owner.lease != "ending"


def settle_margin(rules: Rules, state: State, i: int) -> Steps:
    seen = state.workers[i].seen
    assert seen is not None
    if is_margin_over(rules, state, seen.worker, seen.incarnation):
        yield "is_over: margin passed", state.at(i, at="take_over")


def take_over(rules: Rules, state: State, i: int) -> Steps:
    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        if outcome is Outcome.DONE:
            yield "", _claimed(after, i)
        else:
            yield "", after.at(i, at="claim", seen=None)

    def unknown(after: State) -> Steps:
        yield "", gone(refused(after, i), i)

    w = state.workers[i]
    yield from table_call(
        rules,
        state,
        i,
        Operation.TAKE_OVER,
        then,
        fence=w.seen,
        gives_up=unknown,
        incarnation=w.me,
    )


def _claimed(state: State, i: int) -> State:
    at = "prepare" if state.workers[i].is_settled else "settle"
    return state.at(i, at=at, me="", seen=None, held=holding(state.row))


def prepare(rules: Rules, state: State, i: int) -> Steps:
    """`_prepare`, the driver's start, `_until_ready`: local, and any of it may fail."""
    held = state.workers[i].held
    assert held is not None
    if held.snapshot < 0 and not rules.only_p1:
        raise Violation("P2: a wake from before a suspend that was answered")
    left = Left(held.fence.epoch)
    yield "started", state.at(i, at="ready", left=left, is_alive=True)
    if rules.may_fail(state):
        failed = refused(state, i).at(i, at="give_up", left=left)
        yield "!start failed", failed._replace(faults=state.faults + 1)


def ready(rules: Rules, state: State, i: int) -> Steps:
    def done(after: State) -> Steps:
        # `let_in` follows the answer without an await.
        if after.workers[i].is_settled:
            yield "", after.at(i, at="live", is_open=True)
        else:
            yield "", after.at(i, at="ready_settle")

    def lost(after: State) -> Steps:
        yield "", gone(refused(after, i), i)

    yield from write(rules, state, i, Operation.READY, done, superseded=lost, lease_lost=lost)


def give_up(rules: Rules, state: State, i: int) -> Steps:
    """`_give_up`: release, so that the next request may try again."""

    def end(after: State) -> Steps:
        yield from leaves(after, i)

    yield from write(rules, state, i, Operation.RELEASE, end, superseded=end, lease_lost=end)
