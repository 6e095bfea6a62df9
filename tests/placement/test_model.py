"""The words themselves, and the real table held against the table of transitions, step by step."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from placement.connect import connect
from placement.model import (
    ALLOWED_FROM,
    OWNED,
    RESULT,
    ActorId,
    ActorRecord,
    ActorState,
    Answer,
    BackOff,
    Claimant,
    Fence,
    InvalidName,
    Operation,
    Outcome,
    new_uid,
)
from placement.server import PrivateServer
from placement.table import Table

C1 = ActorId.of("demo", "c1")
WORKERS = tuple(
    Claimant(worker=name, incarnation=name * 2, door=f"{name}:1") for name in ("a", "b")
)
LONG = 3_600_000
T = TypeVar("T")
Attempt: TypeAlias = Callable[[], Awaitable[Answer]]
Write: TypeAlias = Callable[[Fence, str], Awaitable[Answer]]


@pytest.mark.parametrize("bad", ["", "-a", "a-", "A", "a.b", "a/b", "a" * 64, "ä", "a\n", "a{b"])
def test_r7_name_that_is_no_label_is_refused(bad: str) -> None:
    with pytest.raises(InvalidName, match="namespace"):
        ActorId.of(bad, "c1")
    with pytest.raises(InvalidName):
        ActorId.parse(f"demo/{bad}")


def test_name_is_read_back_as_it_is_written() -> None:
    assert ActorId.parse(str(C1)) == C1
    with pytest.raises(InvalidName, match="namespace/name"):
        ActorId.parse("c1")


def test_every_operation_has_its_line_in_both_tables() -> None:
    assert set(ALLOWED_FROM) == set(RESULT) == set(Operation)


def test_no_transition_but_delete_leads_out_of_the_states() -> None:
    reached = {state for results in RESULT.values() for state in results}
    assert reached == set(ActorState)
    for state in ActorState:
        assert any(state in states for states in ALLOWED_FROM.values())


def test_actor_that_nobody_owns_has_no_fence() -> None:
    record = ActorRecord(
        actor=C1, uid="u", state=ActorState.SUSPENDED, epoch=1, revision=1, template="t"
    )
    with pytest.raises(ValueError, match="nobody owns it"):
        record.fence()


def test_ids_are_16_hex_digits_and_never_the_same() -> None:
    made = {new_uid() for _ in range(1000)}
    assert len(made) == 1000 and all(len(uid) == 16 and int(uid, 16) >= 0 for uid in made)


@dataclass
class Model:
    """What the table of transitions says the record must be."""

    state: ActorState
    epoch: int = 0
    snapshot: str | None = None
    failures: int = 0
    is_overdue: bool = False


class TableMachine(RuleBasedStateMachine):
    """Two workers, a person and some zombies work on one actor in any order; after each step the
    record is what the model says, and whoever showed an old fence was refused."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        client = connect(self.url)
        assert isinstance(client, Redis)
        self.redis, self.table = client, Table(client)
        self.model: Model | None = None
        self.last: ActorRecord | None = None
        self.old: list[Fence] = []
        self.uids: set[str] = set()

    def teardown(self) -> None:
        self.wait(self.redis.aclose())
        self.loop.close()

    def wait(self, coroutine: Awaitable[T]) -> T:
        async def run() -> T:
            return await coroutine

        return self.loop.run(run())

    @initialize()
    def empty(self) -> None:
        self.wait(self.redis.flushall())

    # -- one rule for each operation -------------------------------------------------------------

    @rule(snapshot=st.sampled_from([None, "golden"]))
    def create(self, snapshot: str | None) -> None:
        call = new_uid()
        answer = self.twice(
            lambda: self.table.create(C1, template="t", snapshot=snapshot, call=call)
        )
        if self.model is not None:
            assert answer.outcome is Outcome.EXISTS
            return
        self.model = Model(state=ActorState.SUSPENDED, snapshot=snapshot)
        self.took(Operation.CREATE, answer)
        assert answer.record is not None and answer.record.uid not in self.uids
        self.uids.add(answer.record.uid)

    @rule(who=st.sampled_from(WORKERS), overdue=st.booleans())
    def claim(self, who: Claimant, overdue: bool) -> None:
        call, budget = new_uid(), 0 if overdue else LONG
        answer = self.twice(lambda: self.table.claim(C1, who, budget_ms=budget, call=call))
        if self.model is None:
            assert answer.outcome is Outcome.NOT_FOUND
        elif self.model.state in ALLOWED_FROM[Operation.CLAIM] or self.model.is_overdue:
            self.owns(Operation.CLAIM, answer, who, overdue)
        else:
            assert answer.outcome is Outcome.HELD

    @rule(who=st.sampled_from(WORKERS), overdue=st.booleans())
    def take_over(self, who: Claimant, overdue: bool) -> None:
        if self.last is None or not self.last.is_owned:
            return
        seen, call, budget = self.last, new_uid(), 0 if overdue else LONG
        answer = self.twice(lambda: self.table.take_over(seen, who, budget_ms=budget, call=call))
        self.owns(Operation.TAKE_OVER, answer, who, overdue)

    @rule()
    def ready(self) -> None:
        answer = self.by_owner(Operation.READY, lambda f, c: self.table.ready(f, call=c))
        if answer and self.model:
            self.model.is_overdue = False

    @rule(failed=st.booleans())
    def release(self, failed: bool) -> None:
        rule = BackOff(threshold=2, base_ms=0)
        answer = self.by_owner(
            Operation.RELEASE,
            lambda f, c: self.table.release(f, reason="r", failed=failed, back_off=rule, call=c),
        )
        if answer and self.model:
            self.model.failures += failed
            self.model.is_overdue = False
            is_failed = failed and self.model.failures >= rule.threshold
            assert (self.model.state is ActorState.FAILED) == is_failed

    @rule()
    def checkpointed(self) -> None:
        self.promotes(
            Operation.CHECKPOINTED,
            lambda f, c: self.table.checkpointed(
                f, snapshot=f"s-{f.revision}", active_ms=1, call=c
            ),
        )

    @rule()
    def begin_suspend(self) -> None:
        self.by_owner(Operation.BEGIN_SUSPEND, lambda f, c: self.table.begin_suspend(f, call=c))

    @rule()
    def abort_suspend(self) -> None:
        self.by_owner(Operation.ABORT_SUSPEND, lambda f, c: self.table.abort_suspend(f, call=c))

    @rule()
    def commit_suspend(self) -> None:
        self.promotes(
            Operation.COMMIT_SUSPEND,
            lambda f, c: self.table.commit_suspend(
                f, snapshot=f"s-{f.revision}", active_ms=1, call=c
            ),
        )

    @rule(policy=st.sampled_from([None, "{}"]))
    def set_policy(self, policy: str | None) -> None:
        if self.last is None:
            return
        uid, call = self.last.uid, new_uid()
        answer = self.twice(lambda: self.table.set_policy(C1, uid, policy, call=call))
        assert answer.record == replace(self.last, policy=policy)
        self.last = answer.record

    @rule()
    def delete(self) -> None:
        if self.last is None or self.model is None:
            return
        uid, call = self.last.uid, new_uid()
        answer = self.twice(lambda: self.table.delete(C1, uid, call=call))
        if self.model.state in ALLOWED_FROM[Operation.DELETE]:
            assert (answer.outcome, answer.record) == (Outcome.DONE, None)
            self.model, self.last = None, None
        else:
            assert answer.outcome is Outcome.WRONG_STATE

    @rule(pick=st.integers(min_value=0))
    def zombie(self, pick: int) -> None:
        """Somebody who owned it once tries everything, and nothing moves."""
        if not self.old:
            return
        fence = self.old[pick % len(self.old)]
        for attempt in (
            self.table.ready(fence),
            self.table.checkpointed(fence, snapshot="zombie", active_ms=1),
            self.table.begin_suspend(fence),
            self.table.abort_suspend(fence),
            self.table.commit_suspend(fence, snapshot="zombie", active_ms=1),
            self.table.release(fence, reason="zombie", failed=True),
        ):
            assert self.wait(attempt).outcome in (Outcome.STALE, Outcome.NOT_FOUND)

    @invariant()
    def record_is_what_the_model_says(self) -> None:
        record = self.wait(self.table.read(C1))
        assert record == self.last
        if self.model is None:
            assert record is None
            return
        assert record is not None
        assert (record.state, record.epoch) == (self.model.state, self.model.epoch)
        assert (record.snapshot, record.failures) == (self.model.snapshot, self.model.failures)
        assert record.is_owned == (record.state in OWNED) == (record.incarnation is not None)

    # -- what the rules share --------------------------------------------------------------------

    def twice(self, call: Attempt) -> Answer:
        """An answer that is lost is asked for again: it is the same answer."""
        first = self.wait(call())
        if first.is_done:
            assert self.wait(call()) == first
        return first

    def by_owner(self, operation: Operation, write: Write) -> bool:
        """The owner writes: done where the table of transitions allows it, else WRONG_STATE."""
        if self.model is None or self.last is None or not self.last.is_owned:
            return False
        fence, call = self.last.fence(), new_uid()
        answer = self.twice(lambda: write(fence, call))
        if self.model.state not in ALLOWED_FROM[operation]:
            assert (answer.outcome, answer.record) == (Outcome.WRONG_STATE, self.last)
            return False
        self.took(operation, answer)
        return True

    def promotes(self, operation: Operation, write: Write) -> None:
        before = self.last
        if self.by_owner(operation, write) and self.model and before:
            self.model.snapshot = f"s-{before.revision}"
            if operation is Operation.COMMIT_SUSPEND:
                self.model.failures = 0

    def owns(self, operation: Operation, answer: Answer, who: Claimant, overdue: bool) -> None:
        assert self.model is not None
        self.took(operation, answer)
        self.model.epoch += 1
        self.model.is_overdue = overdue
        assert answer.record is not None and answer.record.worker == who.worker

    def took(self, operation: Operation, answer: Answer) -> None:
        """A transition: to a state that RESULT names, one revision on; older fences are dead."""
        assert answer.outcome is Outcome.DONE, (operation, answer)
        assert self.model is not None and answer.record is not None
        assert answer.record.state in RESULT[operation]
        if self.last is not None:
            assert answer.record.revision == self.last.revision + 1
            if self.last.is_owned:
                self.old.append(self.last.fence())
        self.model.state, self.last = answer.record.state, answer.record


def test_p1_r10_any_sequence_of_operations_goes_as_the_transition_table_says(
    redis_server: PrivateServer,
) -> None:
    TableMachine.url = redis_server.url
    run_state_machine_as_test(
        TableMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
