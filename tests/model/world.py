"""What goes on around the residences: leases, time, crashes, gateways, late calls, a failover."""

from collections.abc import Iterator

from placement.model import ActorState
from tests.model import checkpointing, forgetting, recovering, sleeping, waking
from tests.model.calls import Rules, Steps, execute
from tests.model.state import Gateway, State, Violation, Worker, is_leased, may_serve

STEPS = {
    name: getattr(module, name)
    for module, names in (
        (waking, "claim settle_release settle_look settle_margin take_over prepare ready give_up"),
        (
            sleeping,
            "live begin save abort commit exit_save exit_abort exit_begin exit_commit"
            " exit_checkpoint exit_release",
        ),
        (
            recovering,
            "regain again_read again_look again_margin again_take again_ready recover"
            " recover_release",
        ),
        (checkpointing, "still ship tell"),
        (
            forgetting,
            "settle ready_settle again_settle commit_again in_doubt reassert reassert_later"
            " reassert_ready",
        ),
    )
    for name in names.split()
}


def successors(rules: Rules, state: State) -> Iterator[tuple[str, State]]:
    """Every single step from here, named; a name that begins with `!` is a fault."""
    for i, worker in enumerate(state.workers):
        if worker.at and worker.lease != "dead":
            for label, after in STEPS[worker.at](rules, state, i):
                yield _named(label, f"worker {i} {worker.at}: "), after
        for label, after in _lease(rules, state, i, worker):
            yield _named(label, f"worker {i} "), after
        for label, after in forgetting.look(rules, state, i):
            yield _named(label, f"worker {i} "), after
        if rules.may_fail(state):
            for label, after in _faults(state._replace(faults=state.faults + 1), i, worker):
                yield f"!worker {i} {label}", after
    for n, gateway in enumerate(state.gateways):
        if n and gateway == state.gateways[0]:
            continue  # the same steps as the first one's
        for label, after in _gateway(rules, state, n, gateway):
            yield f"gateway {label}", after
    for call in state.late:
        rest = tuple(c for c in state.late if c is not call)
        yield f"late {call.operation} executed", execute(rules, state, call)[1]._replace(late=rest)
    if state.uncopied is not None:
        yield "replica has caught up", forgetting.copied(state)
    if rules.may_fail(state):
        yield from _store(state._replace(faults=state.faults + 1))
    yield from forgetting.fails_over(rules, state)


def _named(label: str, prefix: str) -> str:
    return f"!{prefix}{label[1:]}" if label.startswith("!") else prefix + label


def _lease(rules: Rules, state: State, i: int, w: Worker) -> Steps:
    """`Lease.run`, `Host._keep_lease` and the store's expiry."""
    if w.store and w.lease != "valid":
        yield "lease expires in the store", state.at(i, store="")
    match w.lease:
        case "ending":
            yield "lease ends by its own clock", state.at(i, lease="over")
            if w.store == w.inc:
                yield "lease renewed", state.at(i, lease="valid")
            elif rules.bug == "renew a lapsed lease" and not w.store:
                yield "lease renewed", state.at(i, lease="valid", store=w.inc)
        case "over":
            yield "notices: new incarnation", state.at(i, lease="new", inc=_next(w.inc))
        case "valid":
            pass
        case "new":
            if w.store:
                return
            at = "recover" if w.looks_back else w.at
            registered = state.at(
                i, lease="valid", store=w.inc, at=at, looks_back=False, has_lapsed=not w.has_looked
            )
            yield "registers", registered
        case _:
            # `Host.run`: the directory's lock is ours, so the old lease is given back.
            retired = state.at(i, store="" if w.store == w.inc else w.store)
            looks_back = w.left is not None
            yield (
                "starts again",
                retired.at(i, lease="new", inc=_next(w.inc), looks_back=looks_back),
            )


def _next(incarnation: str) -> str:
    return f"{incarnation[0]}{int(incarnation[1:]) + 1}"


def _faults(state: State, i: int, w: Worker) -> Steps:
    if w.lease == "valid":
        yield "renewals fail", state.at(i, lease="ending")
    if w.lease != "dead":
        left = Worker(
            inc=w.inc,
            lease="dead",
            store=w.store,
            left=w.left,
            has_looked=w.has_looked,
            is_settled=w.is_settled,
        )
        workers = list(state.workers)
        workers[i] = left
        crashed = state.cut(i, "ticket", "sent", "waits")._replace(workers=tuple(workers))
        yield "crashes", crashed
        if w.is_alive:
            yield "crashes, its actor lives", crashed.at(i, is_alive=True)
        if w.at == "live" and w.is_alive:
            yield "program exits", state.at(i, is_alive=False)


def _store(state: State) -> Steps:
    row = state.row
    if row.state is ActorState.WAKING and not row.is_overdue:
        yield "!deadline of the wake passes", state._replace(row=row._replace(is_overdue=True))


def _gateway(rules: Rules, state: State, n: int, g: Gateway) -> Steps:
    """`Waker`, `EdgeUsher`, the door and the exchange: one request at a time."""

    def now(after: Gateway, to: State = state) -> State:
        gateways = list(to.gateways)
        gateways[n] = after
        return to._replace(gateways=tuple(gateways))

    w = state.workers[g.worker]
    match g.stage:
        case "":
            for i, each in enumerate(state.workers):
                if each.lease == "dead":
                    continue
                # A route to any worker may be in its cache, however old it is. A stale one is
                # answered so, and the gateway asks the workers, of which any may be chosen.
                yield f"asks worker {i} to wake", now(Gateway("waits", i))
                if _admits(rules, each):
                    yield f"sends to worker {i} by a route: ticket", now(Gateway("ticket", i))
        case "waits":
            if not w.at and is_leased(w) and not w.looks_back:
                yield "wakes", waking.begins(state, g.worker)
            elif _admits(rules, w):
                yield "gets a ticket", now(Gateway("ticket", g.worker))
            yield "goes away", now(Gateway())
        case "ticket":
            if rules.bug == "no second look" or _admits(rules, w):
                _check_serves(rules, state, g.worker, "byte")
                yield "first byte to the actor", now(Gateway("sent", g.worker))
            else:
                yield "ticket is not valid", now(Gateway())
        case _:
            if rules.bug == "no look at the head" or _admits(rules, w):
                _check_serves(rules, state, g.worker, "head")
                yield "head to the client", now(Gateway())
            else:
                yield "answer is not passed on", now(Gateway())


def _admits(rules: Rules, w: Worker) -> bool:
    if rules.bug == "any lease will do":
        return w.is_open and is_leased(w)
    return may_serve(w)


def _check_serves(rules: Rules, state: State, i: int, what: str) -> None:
    w, row = state.workers[i], state.row
    held = w.held
    if rules.failover:
        return  # the record itself may be wrong: only two copies at once count
    if held is None or (held.fence.epoch, held.fence.worker) != (row.epoch, row.worker):
        raise Violation(f"P1: a {what} passes at a copy that is not the record's")


def check(rules: Rules, state: State) -> None:
    """What holds in every state."""
    serving = [i for i, w in enumerate(state.workers) if _admits(rules, w)]
    if len(serving) > 1:
        raise Violation("P1: two copies may serve at once")
    for i in serving:
        _check_serves(rules, state, i, "request")
        if not rules.failover and not state.row.is_owned:
            raise Violation("P1: a copy serves that nobody owns")
    for i, w in enumerate(state.workers):
        # A checkpoint's standstill cuts nothing; where the lease ends in it, fencing does.
        lapsed = w.held is not None and not is_leased(w, w.held.fence.incarnation)
        is_brief = w.at == "still" or (w.at == "live" and lapsed)
        is_still = w.at in ("save", "commit") or (w.is_frozen and not is_brief)
        if is_still and state.count(i, "ticket", "sent"):
            raise Violation("P4: a copy is frozen under a request")


def is_claimable(state: State) -> bool:
    """Somebody serves it, or whoever asks next may claim it or take it over."""
    row = state.row
    if not row.is_owned or row.is_overdue or any(map(may_serve, state.workers)):
        return True
    return state.workers[0 if row.worker == "a" else 1].store != row.incarnation
