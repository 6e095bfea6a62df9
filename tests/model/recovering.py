"""`waking.own_again` and recovering.py, one await at a time: a copy of an earlier lease or of an
earlier process is owned anew, or dropped."""

from typing import cast

from lifecycle.host.places import Note
from placement.model import ActorId, ActorRecord, ActorState, Operation, Outcome
from tests.model.calls import Rules, Steps, table_call, write
from tests.model.semantics import Row, shown_by
from tests.model.state import NAMES, Left, State, holding, is_leased
from tests.model.waking import gone, is_margin_over, leaves

_ACTOR = ActorId("demo", "c1")


def _is_of(rules: Rules, state: State, i: int) -> bool:
    """The product's own comparison, of the note and the record that was read."""
    left, row = state.workers[i].left, state.row
    assert left is not None
    if rules.bug == "adopt without comparing":
        return row.is_owned
    note = Note(actor=_ACTOR, uid=row.uid, epoch=left.epoch, claimants=left.claimants)
    return note.is_of(cast("ActorRecord", row), NAMES[i])


def regain(rules: Rules, state: State, i: int) -> Steps:
    """`next_lease`, after which `_own_again` takes its claimant."""
    w = state.workers[i]
    assert w.held is not None
    if is_leased(w) and w.inc != w.held.fence.incarnation:
        yield "next lease", state.at(i, at="again_read", me=w.inc)


def again_read(rules: Rules, state: State, i: int) -> Steps:
    w, row = state.workers[i], state.row
    if not _is_of(rules, state, i):
        # `_regain`: it may be forgotten. Of an earlier process nothing is known but the note.
        if w.held is not None and w.left is not None:
            yield "not ours any more", state.at(i, at="in_doubt", me=w.inc)
        else:
            yield "not ours any more", gone(state, i)
    elif row.incarnation != w.me:
        yield "still ours", state.at(i, at="again_look", seen=shown_by(row))
    else:
        yield "claimed already", _mine(state, i, row)


def _mine(state: State, i: int, row: Row) -> State:
    """The record in hand and on disk; `ready` where it is still to be said."""
    w = state.workers[i]
    left = Left(row.epoch, (), w.left is not None and w.left.was_ready)
    mine = state.at(i, held=holding(row), left=left, me="", seen=None)
    if row.state is ActorState.WAKING:
        return mine.at(i, at="again_ready")
    return mine.at(i, at="live")


def again_look(rules: Rules, state: State, i: int) -> Steps:
    seen = state.workers[i].seen
    assert seen is not None
    holder = state.workers[i].store  # of our own id: `is_over(me.worker, held.incarnation)`
    if holder == seen.incarnation:
        yield "is_over: False", _once_more(state, i)
    else:
        yield "is_over: nobody has it", state.at(i, at="again_margin")


def _once_more(state: State, i: int) -> State:
    return state.at(i, at="regain", me="", seen=None)


def again_margin(rules: Rules, state: State, i: int) -> Steps:
    w = state.workers[i]
    assert w.seen is not None and w.left is not None
    if is_margin_over(rules, state, NAMES[i], w.seen.incarnation):
        # Noted before the call: when its answer is lost, the record is known as ours.
        claimants = tuple(sorted({*w.left.claimants, w.me}))
        left = Left(w.left.epoch, claimants, was_ready=True)
        yield "is_over: margin passed", state.at(i, at="again_take", left=left)


def again_take(rules: Rules, state: State, i: int) -> Steps:
    def then(after: State, outcome: Outcome, row: Row) -> Steps:
        yield "", _mine(after, i, row) if outcome is Outcome.DONE else _once_more(after, i)

    def unknown(after: State) -> Steps:
        yield "", _once_more(after, i)

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


def again_ready(rules: Rules, state: State, i: int) -> Steps:
    def done(after: State) -> Steps:
        # Frozen where it lives: the next request thaws it. Else its files are saved.
        at = "live" if after.workers[i].is_settled else "ready_settle"
        yield "", after.at(i, at=at, is_frozen=after.workers[i].is_alive)

    def superseded(after: State) -> Steps:
        yield "", after.at(i, at="live", was_refused=True, doubt=3)

    def lease_lost(after: State) -> Steps:
        yield "", _once_more(after, i)

    yield from write(
        rules,
        state,
        i,
        Operation.READY,
        done,
        superseded=superseded,
        lease_lost=lease_lost,
    )


def recover(rules: Rules, state: State, i: int) -> Steps:
    """`recovery`: read, compare, and what `_adopt` makes of a wake that never was ready."""
    w, row = state.workers[i], state.row
    assert w.left is not None
    if not _is_of(rules, state, i):
        yield "not ours any more", gone(state, i)
        return
    held = state.at(i, held=holding(row), is_frozen=w.is_alive)
    if row.state is ActorState.WAKING and not w.left.was_ready:
        yield "never ready", held.at(i, at="recover_release")
    else:
        yield "to be adopted", held.at(i, at="regain")


def recover_release(rules: Rules, state: State, i: int) -> Steps:
    def end(after: State) -> Steps:
        yield from leaves(after, i)

    def again(after: State) -> Steps:
        yield "", after.at(i, at="recover", held=None)

    yield from write(rules, state, i, Operation.RELEASE, end, superseded=end, lease_lost=again)
