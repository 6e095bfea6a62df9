"""What each operation promises on a real server. Every sequence of them: test_model."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from placement import keys
from placement.errors import TableUnavailable
from placement.listing import Listing
from placement.model import (
    ActorId,
    ActorRecord,
    ActorState,
    Answer,
    BackOff,
    Claimant,
    Fence,
    Outcome,
    new_uid,
)
from placement.scripts import Scripts
from placement.table import Table

C1 = ActorId.of("demo", "c1")
LEFT = Claimant(worker="left", incarnation="a1", door="127.0.0.1:7001")
RIGHT = Claimant(worker="right", incarnation="b1", door="unix:/run/right door.sock")
NOW_OVERDUE = 0
LONG = 60_000


def done(answer: Answer) -> ActorRecord:
    assert answer.outcome is Outcome.DONE, answer
    assert answer.record is not None
    return answer.record


async def created(table: Table, actor: ActorId = C1) -> ActorRecord:
    return done(await table.create(actor, template="counter"))


async def waking(table: Table, *, budget_ms: int = LONG) -> ActorRecord:
    await created(table)
    return done(await table.claim(C1, LEFT, budget_ms=budget_ms))


async def running(table: Table) -> ActorRecord:
    return done(await table.ready((await waking(table)).fence()))


async def suspending(table: Table) -> ActorRecord:
    return done(await table.begin_suspend((await running(table)).fence()))


async def test_created_actor_is_suspended_at_epoch_0(table: Table) -> None:
    made = done(await table.create(C1, template="counter", policy="{}", snapshot="golden"))
    assert (made.state, made.epoch, made.template) == (ActorState.SUSPENDED, 0, "counter")
    assert (made.policy, made.snapshot, made.worker) == ("{}", "golden", None)
    assert await table.read(C1) == made


async def test_name_that_is_taken_answers_who_has_it(table: Table) -> None:
    first = await created(table)
    again = await table.create(C1, template="other")
    assert (again.outcome, again.record) == (Outcome.EXISTS, first)


async def test_equal_names_in_two_namespaces_never_meet(table: Table) -> None:
    await created(table)
    other = ActorId.of("prod", "c1")
    assert await table.read(other) is None
    await created(table, other)
    done(await table.claim(other, RIGHT, budget_ms=LONG))
    untouched = await table.read(C1)
    assert untouched is not None and untouched.state is ActorState.SUSPENDED


async def test_actor_that_is_not_there_is_not_found_by_any_operation(table: Table) -> None:
    gone = Fence(actor=C1, uid="u", epoch=1, worker="left", incarnation="a1", revision=1)
    answers = [
        await table.claim(C1, LEFT, budget_ms=LONG),
        await table.ready(gone),
        await table.release(gone, reason="", failed=False),
        await table.commit_suspend(gone, snapshot="s", active_ms=1),
        await table.set_policy(C1, "u", "{}"),
        await table.delete(C1, "u"),
    ]
    assert {answer.outcome for answer in answers} == {Outcome.NOT_FOUND}
    assert await table.read(C1) is None


async def test_claim_makes_an_owner_for_a_new_epoch(table: Table) -> None:
    owned = await waking(table)
    assert (owned.state, owned.epoch, owned.worker) == (ActorState.WAKING, 1, "left")
    assert (owned.incarnation, owned.door) == (LEFT.incarnation, LEFT.door)
    assert owned.deadline_ms is not None and owned.deadline_ms > owned.created_ms


async def test_a23_of_50_claims_at_once_one_wins_and_49_hear_who(table: Table) -> None:
    await created(table)
    claimants = [Claimant(worker=f"w{n}", incarnation=f"i{n}", door="d") for n in range(50)]
    answers = await asyncio.gather(
        *(table.claim(C1, claimant, budget_ms=LONG) for claimant in claimants)
    )
    winners = [answer.record for answer in answers if answer.is_done]
    assert len(winners) == 1
    assert {answer.outcome for answer in answers} == {Outcome.DONE, Outcome.HELD}
    assert all(answer.record == winners[0] for answer in answers)


@pytest.mark.parametrize("state", [waking, running, suspending])
async def test_owned_actor_is_held(table: Table, state: object) -> None:
    assert callable(state)
    owned = await state(table)
    answer = await table.claim(C1, RIGHT, budget_ms=LONG)
    assert (answer.outcome, answer.record) == (Outcome.HELD, owned)


async def test_wake_past_its_deadline_is_claimable_by_anyone(table: Table) -> None:
    late = await waking(table, budget_ms=NOW_OVERDUE)
    taken = done(await table.claim(C1, RIGHT, budget_ms=LONG))
    assert (taken.epoch, taken.worker) == (2, "right")
    assert (await table.ready(late.fence())).outcome is Outcome.STALE


async def test_actor_that_became_ready_has_no_deadline_any_more(table: Table) -> None:
    late = await waking(table, budget_ms=NOW_OVERDUE)
    runs = done(await table.ready(late.fence()))
    assert (runs.state, runs.deadline_ms) == (ActorState.RUNNING, None)
    assert (await table.claim(C1, RIGHT, budget_ms=LONG)).outcome is Outcome.HELD


async def test_take_over_replaces_the_owner_that_was_seen(table: Table) -> None:
    seen = await running(table)
    taken = done(await table.take_over(seen, RIGHT, budget_ms=LONG))
    assert (taken.state, taken.epoch, taken.worker) == (ActorState.WAKING, 2, "right")
    zombie = await table.commit_suspend(seen.fence(), snapshot="zombie", active_ms=1)
    assert zombie.outcome is Outcome.STALE
    assert zombie.record is not None and zombie.record.snapshot is None


async def test_take_over_of_an_owner_that_moved_meanwhile_is_refused(table: Table) -> None:
    seen = await running(table)
    moved = done(await table.begin_suspend(seen.fence()))
    answer = await table.take_over(seen, RIGHT, budget_ms=LONG)
    assert (answer.outcome, answer.record) == (Outcome.STALE, moved)


@pytest.mark.parametrize(
    "stale",
    [
        {"uid": "other"},
        {"epoch": 0},
        {"worker": "right"},
        {"incarnation": "a0"},
        {"revision": 1},
    ],
)
async def test_r10_anything_stale_in_a_fence_refuses_every_write_and_changes_nothing(
    table: Table, stale: dict[str, str | int]
) -> None:
    """Whoever it is: a worker of before, a watcher of nodes or pods, a call that comes late."""
    for name, state in (("w", waking), ("r", running), ("u", suspending)):
        before = await state(table)
        fence = Fence(**{each: getattr(before.fence(), each) for each in Fence.__slots__} | stale)
        for answer in (
            await table.ready(fence),
            await table.release(fence, reason="", failed=True),
            await table.checkpointed(fence, snapshot="s", active_ms=1),
            await table.begin_suspend(fence),
            await table.abort_suspend(fence),
            await table.commit_suspend(fence, snapshot="s", active_ms=1),
        ):
            assert (answer.outcome, answer.record) == (Outcome.STALE, before), name
        unowned = await table.claim(C1, RIGHT, budget_ms=LONG)
        assert (unowned.outcome, unowned.record) == (Outcome.HELD, before)
        policy = await table.set_policy(C1, "another-uid", "{}")
        assert policy.outcome is Outcome.STALE
        gone = await table.delete(C1, before.uid)
        assert (gone.outcome, gone.record) == (Outcome.WRONG_STATE, before)
        assert await table.read(C1) == before
        done(await table.release(before.fence(), reason="", failed=False))
        assert (await table.delete(C1, before.uid)).is_done


async def test_right_fence_in_a_wrong_state_says_so(table: Table) -> None:
    owner = await waking(table)
    answer = await table.begin_suspend(owner.fence())
    assert (answer.outcome, answer.record) == (Outcome.WRONG_STATE, owner)


async def test_a_name_made_again_is_another_actor(table: Table) -> None:
    first = await created(table)
    done_delete = await table.delete(C1, first.uid)
    assert (done_delete.outcome, done_delete.record) == (Outcome.DONE, None)
    second = await created(table)
    assert second.uid != first.uid
    assert (await table.delete(C1, first.uid)).outcome is Outcome.STALE
    assert (await table.set_policy(C1, first.uid, "{}")).outcome is Outcome.STALE


async def test_owned_actor_is_not_deleted(table: Table) -> None:
    owner = await running(table)
    assert (await table.delete(C1, owner.uid)).outcome is Outcome.WRONG_STATE
    assert await table.read(C1) == owner


async def test_p2_committed_snapshot_is_what_the_next_claim_gets(table: Table) -> None:
    owner = await suspending(table)
    asleep = done(await table.commit_suspend(owner.fence(), snapshot="s-1", active_ms=77))
    assert (asleep.state, asleep.snapshot, asleep.active_ms) == (ActorState.SUSPENDED, "s-1", 77)
    assert (asleep.worker, asleep.incarnation, asleep.door) == ("left", None, None)
    assert done(await table.claim(C1, RIGHT, budget_ms=LONG)).snapshot == "s-1"


async def test_commit_without_a_snapshot_keeps_the_old_one(table: Table) -> None:
    owner = done(
        await table.checkpointed((await running(table)).fence(), snapshot="s-1", active_ms=1)
    )
    closing = done(await table.begin_suspend(owner.fence()))
    asleep = done(
        await table.commit_suspend(closing.fence(), snapshot=None, active_ms=2, reason="exit 3")
    )
    assert (asleep.snapshot, asleep.reason) == ("s-1", "exit 3")


async def test_suspend_that_is_aborted_leaves_the_actor_running(table: Table) -> None:
    closing = await suspending(table)
    runs = done(await table.abort_suspend(closing.fence()))
    assert runs.state is ActorState.RUNNING
    late = await table.commit_suspend(closing.fence(), snapshot="s", active_ms=1)
    assert late.outcome is Outcome.STALE


async def test_release_makes_it_claimable_at_once_and_keeps_why(table: Table) -> None:
    owner = await running(table)
    left = done(await table.release(owner.fence(), reason="exited with status 3", failed=False))
    assert (left.state, left.failures, left.reason) == (
        ActorState.SUSPENDED,
        0,
        "exited with status 3",
    )
    done(await table.claim(C1, RIGHT, budget_ms=LONG))


async def fail_start(table: Table, rule: BackOff) -> ActorRecord:
    owner = done(await table.claim(C1, LEFT, budget_ms=LONG))
    return done(await table.release(owner.fence(), reason="no port", failed=True, back_off=rule))


async def test_a7_third_failure_in_a_row_backs_off_and_says_how_long(table: Table) -> None:
    await created(table)
    rule = BackOff(threshold=3, base_ms=60_000, limit_ms=90_000)
    states = [(await fail_start(table, rule)).state for _ in range(3)]
    assert states == [ActorState.SUSPENDED, ActorState.SUSPENDED, ActorState.FAILED]
    answer = await table.claim(C1, LEFT, budget_ms=LONG)
    assert answer.outcome is Outcome.BACKING_OFF
    assert 55_000 < answer.retry_after_ms <= 60_000


async def test_failed_actor_is_claimable_after_its_back_off_which_doubles(table: Table) -> None:
    await created(table)
    over = BackOff(threshold=1, base_ms=0)
    assert (await fail_start(table, over)).state is ActorState.FAILED
    second = await fail_start(table, BackOff(threshold=1, base_ms=10_000, limit_ms=15_000))
    assert second.failures == 2 and second.retry_at_ms is not None
    answer = await table.claim(C1, LEFT, budget_ms=LONG)
    assert 10_000 < answer.retry_after_ms <= 15_000


async def failed_once_and_running(table: Table) -> ActorRecord:
    await created(table)
    await fail_start(table, BackOff())
    owner = done(await table.claim(C1, LEFT, budget_ms=LONG))
    runs = done(await table.ready(owner.fence()))
    assert runs.failures == 1
    return runs


async def test_failures_end_neither_with_ready_nor_with_a_checkpoint(table: Table) -> None:
    runs = await failed_once_and_running(table)
    saved = done(await table.checkpointed(runs.fence(), snapshot="s", active_ms=1))
    assert saved.failures == 1


async def test_failures_end_with_a_suspend(table: Table) -> None:
    runs = await failed_once_and_running(table)
    closing = done(await table.begin_suspend(runs.fence()))
    asleep = done(await table.commit_suspend(closing.fence(), snapshot=None, active_ms=1))
    assert (asleep.failures, asleep.reason) == (0, None)


async def test_policy_of_a_busy_actor_does_not_get_in_its_owners_way(table: Table) -> None:
    owner = await suspending(table)
    told = done(await table.set_policy(C1, owner.uid, '{"idle":{}}'))
    assert (told.policy, told.revision) == ('{"idle":{}}', owner.revision)
    done(await table.commit_suspend(owner.fence(), snapshot="s", active_ms=1))
    assert done(await table.set_policy(C1, owner.uid, None)).policy is None


async def twice(operate: Callable[[str], Awaitable[Answer]]) -> ActorRecord:
    """Make one call two times and want the very same answer."""
    call = new_uid()
    first = await operate(call)
    assert await operate(call) == first
    return done(first)


async def test_same_call_repeated_gets_the_same_answer(table: Table) -> None:
    made = await twice(lambda call: table.create(C1, template="t", call=call))
    own = await twice(lambda call: table.claim(C1, LEFT, budget_ms=LONG, call=call))
    runs = await twice(lambda call: table.ready(own.fence(), call=call))
    saved = await twice(
        lambda call: table.checkpointed(runs.fence(), snapshot="s", active_ms=1, call=call)
    )
    closing = await twice(lambda call: table.begin_suspend(saved.fence(), call=call))
    back = await twice(lambda call: table.abort_suspend(closing.fence(), call=call))
    taken = await twice(lambda call: table.take_over(back, RIGHT, budget_ms=LONG, call=call))
    left = await twice(lambda call: table.release(taken.fence(), reason="", failed=True, call=call))
    assert (taken.epoch, left.failures) == (2, 1)
    policed = await twice(lambda call: table.set_policy(C1, made.uid, "{}", call=call))
    assert policed.revision == left.revision
    for _ in range(2):
        gone = await table.delete(C1, made.uid, call="gone")
        assert (gone.outcome, gone.record) == (Outcome.DONE, None)


async def test_commit_repeated_is_done_until_somebody_else_moved(table: Table) -> None:
    call, shown = new_uid(), (await suspending(table)).fence()
    for _ in range(2):
        done(await table.commit_suspend(shown, snapshot="s", active_ms=1, call=call))
    done(await table.claim(C1, RIGHT, budget_ms=LONG))
    late = await table.commit_suspend(shown, snapshot="s", active_ms=1, call=call)
    assert late.outcome is Outcome.STALE


async def test_other_call_with_the_fence_that_put_it_to_rest_is_stale(table: Table) -> None:
    shown = (await suspending(table)).fence()
    left = done(await table.release(shown, reason="exited", failed=False))
    late = await table.commit_suspend(shown, snapshot="s", active_ms=1)
    assert (late.outcome, late.record) == (Outcome.STALE, left)


async def test_policy_set_in_between_does_not_hide_the_owners_last_call(table: Table) -> None:
    shown, call = (await running(table)).fence(), new_uid()
    done(await table.begin_suspend(shown, call=call))
    done(await table.set_policy(C1, shown.uid, "{}"))
    assert done(await table.begin_suspend(shown, call=call)).state is ActorState.SUSPENDING


async def test_scripts_lost_by_the_server_are_sent_again(table: Table, redis: Redis) -> None:
    await created(table)
    await redis.script_flush()
    done(await table.claim(C1, LEFT, budget_ms=LONG))


async def test_index_entry_lost_by_a_crash_is_back_after_the_first_suspend(
    table: Table, redis: Redis
) -> None:
    closing = await suspending(table)
    await Scripts(redis).run("index_remove", [keys.index_key("demo")], ["c1"])
    done(await table.commit_suspend(closing.fence(), snapshot="s", active_ms=1))


async def test_a_full_server_is_unavailable_and_keeps_the_call(table: Table, redis: Redis) -> None:
    await created(table)
    # Its slot may be any node's.
    everywhere: Any = {} if isinstance(redis, Redis) else {"target_nodes": RedisCluster.PRIMARIES}
    await redis.config_set("maxmemory", 1, **everywhere)
    try:
        with pytest.raises(TableUnavailable) as refused:
            async with asyncio.timeout(20):
                while True:
                    # A server that keeps its clients waiting for a moment (as nodes of a cluster
                    # do among themselves) does not look at its memory then.
                    await table.claim(C1, LEFT, budget_ms=LONG, call="c-1")
                    await asyncio.sleep(0.05)
    finally:
        await redis.config_set("maxmemory", 0, **everywhere)
    assert (refused.value.actor, refused.value.call) == (C1, "c-1")
    done(await table.claim(C1, LEFT, budget_ms=LONG, call="c-1"))


async def _forgets(redis: Redis, table: Table) -> tuple[ActorRecord, ActorRecord]:
    """What its owner was told last, and what the record says after a failover: it was never
    claimed."""
    before = (await table.create(C1, template="counter", policy="{}")).record
    packed: Any = await redis.get(keys.actor_key(C1))
    claimed = (await table.claim(C1, LEFT, budget_ms=LONG)).record
    assert before is not None and claimed is not None
    running = (await table.ready(claimed.fence())).record
    assert running is not None
    await redis.set(keys.actor_key(C1), packed)
    return running, before


async def test_reassert_owns_a_copy_anew_over_the_record_that_was_judged(redis: Redis) -> None:
    table = Table(redis)
    running, before = await _forgets(redis, table)
    answer = await table.reassert(running, before, LEFT, budget_ms=LONG, call="call-1")
    mine = answer.record
    assert answer.is_done and mine is not None
    assert (mine.state, mine.epoch) == (ActorState.WAKING, running.epoch + 1)
    assert mine.revision > running.revision and (mine.uid, mine.policy) == (running.uid, "{}")
    assert (await table.reassert(running, before, LEFT, budget_ms=1, call="call-1")).record == mine
    moved = await table.reassert(running, before, RIGHT, budget_ms=LONG)
    assert moved.outcome is Outcome.STALE and moved.record == mine
    assert (await table.ready(mine.fence())).is_done


async def test_reassert_brings_back_an_actor_that_is_lost_but_not_one_that_was_deleted(
    redis: Redis,
) -> None:
    table = Table(redis)
    running, before = await _forgets(redis, table)
    assert (await table.delete(C1, before.uid)).is_done
    refused = await table.reassert(running, None, LEFT, budget_ms=LONG)
    assert refused.outcome is Outcome.STALE
    await redis.flushall()
    back = await table.reassert(running, None, LEFT, budget_ms=LONG)
    assert back.is_done and back.record is not None and back.record.uid == running.uid
    assert (await Listing(redis).list("demo"))[0] == [back.record]


async def test_recommit_makes_an_answered_suspend_once_more(redis: Redis) -> None:
    table = Table(redis)
    running, before = await _forgets(redis, table)
    slept = replace(
        running, state=ActorState.SUSPENDED, incarnation=None, snapshot="1-s", revision=9
    )
    answer = await table.recommit(slept, before, call="call-1-of-two")
    record = answer.record
    assert answer.is_done and record is not None
    assert (record.state, record.snapshot, record.worker) == (ActorState.SUSPENDED, "1-s", "left")
    assert record.epoch == slept.epoch and record.revision > slept.revision
    assert (await table.recommit(slept, before, call="call-1-of-two")).record == record
    assert (await table.recommit(slept, before)).outcome is Outcome.STALE


async def test_read_all_tells_each_of_them(table: Table) -> None:
    made = (await table.create(C1, template="counter")).record
    other = ActorId.of("demo", "nobody")
    assert await table.read_all([C1, other]) == {C1: made, other: None}
    assert await table.read_all([]) == {}
