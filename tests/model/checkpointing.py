"""lifecycle/host/checkpointing.py, one await at a time: a running copy stands still for a copy of
its files, and serves on while that is uploaded and told."""

from placement.model import Operation
from tests.model.calls import OLDER, PROMOTES, Rules, Steps
from tests.model.sleeping import written
from tests.model.state import State, is_leased


def still(rules: Rules, state: State, i: int) -> Steps:
    """`_copied`: shut and frozen, open requests and all, until the copy is made or given up."""
    w = state.workers[i]
    assert w.held is not None
    if not w.is_alive or not is_leased(w, w.held.fence.incarnation):
        # Nothing is let in, and the next step of its life sees to it: fenced, or its files saved.
        yield "must stop", state.at(i, at="live", is_frozen=w.is_alive)
        return
    runs_on = state.at(i, is_open=True, is_frozen=False)
    yield "yields", runs_on.at(i, at="live")
    if not w.doubt:
        yield "copied", runs_on.at(i, at="ship")


def ship(rules: Rules, state: State, i: int) -> Steps:
    """`_save` of the copy, while the actor serves."""
    w = state.workers[i]
    assert w.held is not None
    yield "yields, or the store is away", state.at(i, at="live")
    if w.is_alive and is_leased(w, w.held.fence.incarnation) and not w.doubt:
        late = tuple(
            call._replace(snapshot=OLDER) if call.operation in PROMOTES else call
            for call in state.late
        )
        yield "uploaded", state._replace(late=late).at(i, at="tell", saved=1)


def tell(rules: Rules, state: State, i: int) -> Steps:
    """The table's word is waited for, whoever is served meanwhile."""

    def done(after: State) -> Steps:
        yield "", after.at(i, at="live", saved=0)

    yield from written(rules, state, i, Operation.CHECKPOINTED, done)
