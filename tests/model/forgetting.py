"""A failover that forgets: lifecycle/host/comparing.py and reasserting.py, and histories.py."""

from placement.forgotten import Verdict, judge
from placement.model import ActorState, Operation, Outcome
from tests.model.calls import Rules, Steps, execute, table_call, write
from tests.model.semantics import Call, Row, shown_by
from tests.model.state import NAMES, Left, State, holding, is_leased
from tests.model.waking import gone

_SERVED = (ActorState.RUNNING, ActorState.SUSPENDING)


def fails_over(rules: Rules, state: State) -> Steps:
    """The replica is the primary now: what it never got is forgotten."""
    if state.uncopied is None:
        return
    workers = tuple(
        w._replace(
            has_looked=False, has_lapsed=False, is_settled=rules.bug == "claims are not settled"
        )
        for w in state.workers
    )
    yield (
        "!failover: the last writes are forgotten",
        state._replace(
            row=state.uncopied,
            uncopied=None,
            has_failed_over=True,
            faults=state.faults + 1,
            workers=workers,
        ),
    )


def copied(state: State) -> State:
    """Nothing that was answered can be forgotten any more."""
    workers = tuple(w._replace(slept=None) for w in state.workers)
    return state._replace(uncopied=None, workers=workers)


def look(rules: Rules, state: State, i: int) -> Steps:
    """`Comparing.compare`, which is a part of each renewal."""
    w = state.workers[i]
    if w.doubt in (1, 3) and rules.may_fail(state):
        # It stood still for a lease.
        yield (
            "!the time of its doubt is over",
            state.at(i, doubt=2)._replace(faults=state.faults + 1),
        )
    is_fenced = w.held is not None and not is_leased(w, w.held.fence.incarnation)
    if w.lease != "valid" or w.has_looked or (w.doubt and not is_fenced):
        return
    if w.at and w.held is not None and w.held.state in _SERVED:
        if is_fenced or judge(w.held.row(), state.row) is Verdict.KNOWN:
            yield "looks", state.at(i, has_looked=True)
        else:
            yield "looks: in doubt", state.at(i, doubt=1)
        return
    slept = w.slept
    if slept is None or judge(slept, state.row, was_alone=not w.has_lapsed) is not Verdict.OURS:
        yield "looks", state.at(i, has_looked=True, slept=None)
        return
    call = Call("6", Operation.RECOMMIT, shown_by(state.row), NAMES[i], mine=slept)
    if rules.bug == "a forgotten suspend is left so":
        yield "looks", state.at(i, has_looked=True)
    else:
        done = execute(rules, state, call)[1]
        yield "looks: commits again", done.at(i, has_looked=True, slept=None)


def is_settled(state: State, beside: int = -1) -> bool:
    """`Histories.settle`: all have looked, or what kept them from it has ended their serving."""
    return all(
        w.has_looked or w.doubt == 2 or not is_leased(w)
        for i, w in enumerate(state.workers)
        if i != beside
    )


def settle(rules: Rules, state: State, i: int) -> Steps:
    """`waking._stands`."""
    w = state.workers[i]
    assert w.held is not None
    if not is_settled(state):
        return
    settled = state.at(i, is_settled=True)
    if (state.row.uid, state.row.revision) == (w.held.fence.uid, w.held.fence.revision):
        yield "settled", settled.at(i, at="prepare")
    else:
        yield (
            "settled: forgotten",
            settled.at(i, at="claim", held=None, me=w.held.fence.incarnation),
        )


def ready_settle(rules: Rules, state: State, i: int) -> Steps:
    """`waking.become_ready`, of a wake and of a copy that is owned again."""
    w = state.workers[i]
    assert w.held is not None
    is_wake = w.left is None or not w.left.was_ready
    if not is_leased(w, w.held.fence.incarnation) and not is_wake:
        yield "lease is over", state.at(i, at="live")
        return
    if not is_settled(state):
        return
    settled = state.at(i, is_settled=True)
    if (state.row.uid, state.row.revision) == (w.held.fence.uid, w.held.fence.revision):
        # A copy that is owned again stands frozen until it is asked for.
        yield (
            "settled",
            settled.at(i, at="live", is_open=is_wake, is_frozen=not is_wake and w.is_alive),
        )
    elif is_wake:
        yield "settled: forgotten", gone(settled.cut(i, "waits"), i)
    else:
        yield "settled: forgotten", settled.at(i, at="live", was_refused=True, doubt=3)


def again_settle(rules: Rules, state: State, i: int) -> Steps:
    if is_settled(state, beside=i):
        yield "settled", state.at(i, at="reassert_ready")


def commit_again(rules: Rules, state: State, i: int) -> Steps:
    """`reasserting.commit_again`."""

    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        yield "", after.at(i, at="claim", seen=None)

    def unknown(after: State) -> Steps:
        yield "", gone(after.cut(i, "waits"), i)

    w = state.workers[i]
    yield from table_call(
        rules,
        state,
        i,
        Operation.RECOMMIT,
        then,
        fence=w.seen,
        gives_up=unknown,
        mine=w.slept,
    )


def in_doubt(rules: Rules, state: State, i: int) -> Steps:
    """`assert_again`: its look."""
    w = state.workers[i]
    assert w.held is not None
    if not is_leased(w, w.me):
        yield "lease is over", state.at(i, at="live", me="")
        return
    was_alone = is_leased(w, w.held.fence.incarnation) and w.doubt == 1
    match judge(w.held.row(), state.row, was_alone=was_alone):
        case Verdict.KNOWN if not (w.was_refused and w.held.fence.revision == state.row.revision):
            yield "known", _sure(state.at(i, held=holding(state.row)), i)
        case Verdict.OURS | Verdict.OURS_LATER as verdict:
            at = "reassert" if verdict is Verdict.OURS else "reassert_later"
            left = w.left
            assert left is not None
            claimants = tuple(sorted({*left.claimants, w.me}))
            noted = state.at(i, left=Left(left.epoch, claimants, was_ready=True))
            yield "forgotten", noted.at(i, at=at, seen=shown_by(state.row))
        case _:
            yield "theirs", gone(state, i)


def _sure(state: State, i: int) -> State:
    """`_find_out`, after it."""
    w = state.workers[i]
    sure = state.at(i, at="live", doubt=0, was_refused=False, me="", seen=None)
    if w.is_alive and not w.is_frozen:
        return sure.at(i, is_open=True)
    return sure


def reassert_later(rules: Rules, state: State, i: int) -> Steps:
    """Two that served: ours when the other has looked at the record, or its lease is over."""
    w = state.workers[i]
    shut = state.cut(i, "ticket", "sent").at(i, is_open=False) if w.is_open else state
    for label, after in reassert(rules, shut, i):
        if after.workers[i].at in ("again_settle", "reassert_ready"):
            after = after.at(1 - i, has_looked=False).at(i, at="again_settle", is_settled=False)
        yield label, after


def reassert(rules: Rules, state: State, i: int) -> Steps:
    w = state.workers[i]
    assert w.held is not None

    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        if outcome is not Outcome.DONE:
            yield "", after.at(i, at="in_doubt", seen=None)
            return
        left = Left(row.epoch, (), was_ready=True)
        mine = after.at(i, held=holding(row), left=left, me="", seen=None)
        was_fenced = w.held is not None and w.held.fence.incarnation != w.me
        needs_settling = (was_fenced or w.doubt >= 2) and not w.is_settled
        yield "", mine.at(i, at="again_settle" if needs_settling else "reassert_ready")

    def lease_lost(after: State) -> Steps:
        if not is_leased(after.workers[i], w.me):
            yield "", after.at(i, at="live", seen=None, me="")

    yield from table_call(
        rules,
        state,
        i,
        Operation.REASSERT,
        then,
        fence=w.seen,
        gives_up=lease_lost,
        incarnation=w.me,
        mine=w.held.row(),
    )


def reassert_ready(rules: Rules, state: State, i: int) -> Steps:
    def done(after: State) -> Steps:
        yield "", _sure(after, i)

    def refused(after: State) -> Steps:
        yield "", after.at(i, at="live", was_refused=True, doubt=3)

    def lease_lost(after: State) -> Steps:
        yield "", after.at(i, at="live")

    yield from write(
        rules, state, i, Operation.READY, done, superseded=refused, lease_lost=lease_lost
    )
