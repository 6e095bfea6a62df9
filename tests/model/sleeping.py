"""lifecycle/host/life.py and sleeping.py, one await at a time, by the reaper's own `decide`."""

from lifecycle.host.reaper import Do, View, decide
from lifecycle.host.reaper import Rules as Idle
from placement.model import ActorState, Operation
from tests.model.calls import Rules, Steps, write
from tests.model.state import State, is_leased
from tests.model.waking import leaves

# Idle for long enough, by two templates: one that only freezes, one that suspends.
_SAVING = Idle(freeze_after=None, suspend_after=None, checkpoint_every=1.0)
_TEMPLATES = (
    Idle(freeze_after=1.0, suspend_after=None),
    Idle(freeze_after=None, suspend_after=1.0),
)


def view(state: State, i: int) -> View:
    return View(
        now=2.0,
        tickets=state.count(i, "ticket", "sent"),
        waiting=state.count(i, "waits"),
        is_frozen=state.workers[i].is_frozen,
        last_active=0.0,
    )


def live(rules: Rules, state: State, i: int) -> Steps:
    """`life._step`."""
    w = state.workers[i]
    assert w.held is not None
    leased = is_leased(w, None if rules.bug == "any lease will do" else w.held.fence.incarnation)
    if not leased:
        # `_regain`: shut, fenced, cut, frozen.
        cut = state.cut(i, "ticket", "sent")
        yield "lease is over: fenced", cut.at(i, at="regain", is_open=False, is_frozen=w.is_alive)
        return
    if w.doubt:
        yield "in doubt", state.at(i, at="in_doubt", me=w.inc)
        return
    if not w.is_alive:
        cut = state.cut(i, "ticket", "sent")
        yield "program ended", cut.at(i, at="exit_save", is_open=False, is_frozen=False)
        return
    if rules.checkpoints and w.is_open and decide(view(state, i), _SAVING).do is Do.CHECKPOINT:
        yield "checkpoint", state.at(i, at="still", is_open=False, is_frozen=True)
    for do in {decide(view(state, i), template).do for template in _TEMPLATES}:
        match do:
            case Do.THAW:
                yield "thaw", state.at(i, is_open=True, is_frozen=False)
            case Do.FREEZE:
                yield "freeze", state.at(i, is_open=False, is_frozen=True)
            case Do.SUSPEND:
                yield "suspend", state.at(i, at="begin", is_open=False, is_frozen=True)
            case _:
                pass


def _is_wanted(state: State, i: int) -> bool:
    return state.count(i, "waits") > 0


def _let_in(state: State, i: int) -> State:
    """`serve_again`."""
    return state.at(i, is_open=True, is_frozen=False)


def begin(rules: Rules, state: State, i: int) -> Steps:
    """`_begin` in `_unless_wanted`: a request is let in at once, the call goes on."""
    w = state.workers[i]
    if not w.is_open and _is_wanted(state, i):
        yield "wanted: serve again", _let_in(state, i)

    def done(after: State) -> Steps:
        yield "", after.at(i, at="abort" if w.is_open else "save")

    yield from written(rules, state, i, Operation.BEGIN_SUSPEND, done)


def save(rules: Rules, state: State, i: int) -> Steps:
    """`_save` in `_unless_wanted`, then the last look before the commit."""
    if _is_wanted(state, i):
        yield "wanted: serve again", _let_in(state, i).at(i, at="abort")
        if rules.may_fail(state):
            # `Broken`: what is left of it are its files.
            broken = state._replace(faults=state.faults + 1)
            yield "!thaw fails", broken.at(i, at="live", is_frozen=False, is_alive=False)
    else:
        yield "saved", state.at(i, at="commit", saved=1)
    if rules.bug == "commit without manifest":
        yield "saved in part", state.at(i, at="commit", saved=2)
    if rules.may_fail(state):
        failed = state._replace(faults=state.faults + 1)
        yield "!store away", failed.at(i, at="abort")  # `_stay`: frozen


def abort(rules: Rules, state: State, i: int) -> Steps:
    """`_abort`, after `_take_back` (serving already) or `_stay` (frozen still)."""

    def done(after: State) -> Steps:
        yield "", after.at(i, at="live")

    yield from written(rules, state, i, Operation.ABORT_SUSPEND, done)


def commit(rules: Rules, state: State, i: int) -> Steps:
    if rules.bug == "take back after commit was sent" and state.workers[i].call:
        yield "wanted: serve again", _let_in(state, i).at(i, at="abort", call="", saved=0)

    def done(after: State) -> Steps:
        yield from leaves(_slept(rules, after, i), i)

    yield from written(rules, state, i, Operation.COMMIT_SUSPEND, done)


def _slept(rules: Rules, state: State, i: int) -> State:
    """`fell_asleep`; kept only where there is a failover to forget it."""
    if state.uncopied is None:
        return state
    return state.at(i, slept=state.row._replace(call=""))


def written(rules: Rules, state: State, i: int, operation: Operation, done: object) -> Steps:
    """As `_step` takes the errors: Superseded asks the table, LeaseLost looks at the lease."""

    def superseded(after: State) -> Steps:
        yield "", after.at(i, at="live", saved=0, is_open=False, was_refused=True, doubt=3)

    def lease_lost(after: State) -> Steps:
        yield "", after.at(i, at="live", saved=0)

    yield from write(
        rules,
        state,
        i,
        operation,
        done,  # type: ignore[arg-type] # a Callable[[State], Steps]
        superseded=superseded,
        lease_lost=lease_lost,
    )


def exit_save(rules: Rules, state: State, i: int) -> Steps:
    """`after_exit`: `_save_at_last`, then a quick end counts as a failed start."""
    w = state.workers[i]
    assert w.held is not None
    running = w.held.state is ActorState.RUNNING
    if not is_leased(w, w.held.fence.incarnation):
        yield "store away and lease over", state.at(i, at="live")
    yield "saved: quick", state.at(i, saved=1, at="exit_checkpoint" if running else "exit_abort")
    yield "saved", state.at(i, saved=1, at="exit_begin" if running else "exit_commit")


def exit_abort(rules: Rules, state: State, i: int) -> Steps:
    yield from _exiting(rules, state, i, Operation.ABORT_SUSPEND, "exit_checkpoint")


def exit_begin(rules: Rules, state: State, i: int) -> Steps:
    yield from _exiting(rules, state, i, Operation.BEGIN_SUSPEND, "exit_commit")


def exit_commit(rules: Rules, state: State, i: int) -> Steps:
    yield from _exiting(rules, state, i, Operation.COMMIT_SUSPEND, "")


def exit_checkpoint(rules: Rules, state: State, i: int) -> Steps:
    yield from _exiting(rules, state, i, Operation.CHECKPOINTED, "exit_release")


def exit_release(rules: Rules, state: State, i: int) -> Steps:
    yield from _exiting(rules, state, i, Operation.RELEASE, "")


def _exiting(rules: Rules, state: State, i: int, operation: Operation, then: str) -> Steps:
    def done(after: State) -> Steps:
        if then:
            yield "", after.at(i, at=then)
        elif operation is Operation.COMMIT_SUSPEND:
            yield from leaves(_slept(rules, after, i), i)
        else:
            yield from leaves(after, i)

    yield from written(rules, state, i, operation, done)
