"""Actions over the real table: each ends in a state or in an error that names it.

The worker is a fake that obeys the fence; how a host suspends is tested with the host.
"""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from lifecycle.actions import Actions, ListFilter
from lifecycle.errors import (
    ActorBusy,
    ActorExists,
    DependencyAway,
    NoSuchActor,
    NoSuchTemplate,
    NoSuchWorker,
    SnapshotRefused,
    StartFailed,
    WrongNamespace,
)
from lifecycle.snapshots.base import StoreUnavailable
from lifecycle.strict import NotUnderstood
from placement.catalog import Catalog
from placement.connect import connect
from placement.leases import Leases
from placement.listing import Listing
from placement.model import ActorId, ActorState
from placement.table import Table
from tests.fake_worker import PHASES, FakeFleet

NOBODY = ActorId("demo", "nobody")


@pytest.fixture
async def fleet(redis: Redis, table: Table) -> FakeFleet:
    fleet = FakeFleet(redis=redis, table=table)
    await fleet.add("w1")
    return fleet


async def running(fleet: FakeFleet, name: str = "c1") -> ActorId:
    actor = await fleet.actor(name)
    await fleet.actions.wake(actor, wait_s=5)
    return actor


async def test_an_actor_is_created_suspended_and_only_once(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    assert (await fleet.actions.record(actor)).state is ActorState.SUSPENDED
    with pytest.raises(ActorExists, match="demo/c1 already"):
        await fleet.actions.create(actor, "counter")


async def test_an_actor_of_no_template_is_not_created(fleet: FakeFleet) -> None:
    with pytest.raises(NoSuchTemplate, match="no template demo/none"):
        await fleet.actions.create(NOBODY, "none")
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(NOBODY)


async def test_a_wake_by_name_tells_where_and_how_long(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    record, here = await fleet.actions.wake(actor, wait_s=5)
    assert record.state is ActorState.RUNNING and record.worker == here.worker == "w1"
    assert here.began and here.phases == PHASES


async def test_a72_a_wake_by_name_creates_nothing(fleet: FakeFleet) -> None:
    with pytest.raises(NoSuchActor, match="no actor demo/nobody"):
        await fleet.actions.wake(NOBODY, wait_s=1)


async def test_a_failed_wake_is_told_as_it_was(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    fleet.wake_error = StartFailed("exited with status 3", actor=actor, retry_after_s=4)
    with pytest.raises(StartFailed, match="exited with status 3"):
        await fleet.actions.wake(actor, wait_s=1)


async def test_a_running_actor_is_shown_as_its_worker_sees_it(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    record, resident = await fleet.actions.look(actor)
    assert resident is not None and resident.pid == 4711 and resident.epoch == record.epoch


async def test_a_worker_that_does_not_answer_costs_a_look_nothing_else(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].is_hanging = True
    record, resident = await fleet.actions.look(actor)
    assert record.state is ActorState.RUNNING and resident is None


async def test_a_suspend_ends_suspended_and_done_twice_is_done_once(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    first = await fleet.actions.suspend(actor, wait_s=0, force=False)
    second = await fleet.actions.suspend(actor, wait_s=0, force=False)
    assert first == second and first.state is ActorState.SUSPENDED
    assert first.snapshot == "1-snapshot"


async def test_an_open_request_refuses_a_suspend_unless_forced(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].tickets.add(actor)
    with pytest.raises(ActorBusy, match="1 open request"):
        await fleet.actions.suspend(actor, wait_s=0, force=False)
    record = await fleet.actions.suspend(actor, wait_s=0, force=True)
    assert record.state is ActorState.SUSPENDED


async def test_an_actor_of_a_lost_worker_is_suspended_with_its_last_snapshot(
    fleet: FakeFleet,
) -> None:
    actor = await running(fleet)
    await fleet.actions.suspend(actor, wait_s=0, force=False)
    await fleet.actions.wake(actor, wait_s=5)
    await fleet.lose("w1")
    record = await fleet.actions.suspend(actor, wait_s=0, force=False)
    assert record.state is ActorState.SUSPENDED and record.snapshot == "1-snapshot"
    assert record.reason == "worker w1 was lost" and record.failures == 0


async def test_r12_a_worker_that_is_back_is_asked_for_what_its_dead_self_had(
    fleet: FakeFleet,
) -> None:
    actor = await running(fleet)
    await fleet.come_back("w1")
    record = await fleet.actions.suspend(actor, wait_s=0, force=False)
    assert record.state is ActorState.SUSPENDED and record.snapshot is not None


async def test_a_worker_that_is_back_without_the_actor_does_not_keep_it(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.come_back("w1")
    fleet.workers["w1"].fences.clear()
    record = await fleet.actions.suspend(actor, wait_s=0, force=False)
    assert record.state is ActorState.SUSPENDED and record.reason == "worker w1 was lost"


async def test_an_owner_that_cannot_be_reached_but_lives_is_not_robbed(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].is_away = True
    with pytest.raises(DependencyAway, match="worker w1 cannot be reached"):
        await fleet.actions.suspend(actor, wait_s=0, force=True)
    assert (await fleet.actions.record(actor)).state is ActorState.RUNNING


async def test_an_actor_that_its_worker_does_not_know_ends_in_an_error(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].fences.clear()
    with pytest.raises(ActorBusy, match="try again"):
        await fleet.actions.suspend(actor, wait_s=0, force=False)


async def test_delete_cuts_a_running_actor_and_removes_its_snapshots(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].tickets.add(actor)
    uid = (await fleet.actions.record(actor)).uid
    await fleet.actions.delete(actor)
    assert fleet.workers["w1"].discarded == [actor] and fleet.forgotten == [(actor, uid)]
    with pytest.raises(NoSuchActor):
        await fleet.actions.delete(actor)


async def test_an_actor_of_a_lost_worker_can_be_deleted(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.lose("w1")
    await fleet.actions.delete(actor)
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(actor)


@pytest.mark.parametrize(
    "error", [DependencyAway("the store is away"), StoreUnavailable("503"), TimeoutError()]
)
async def test_snapshots_that_cannot_be_removed_keep_no_actor(
    fleet: FakeFleet, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    actor = await fleet.actor("c1")
    fleet.forget_error = error
    await fleet.actions.delete(actor)
    assert "left to the collector" in caplog.text


async def test_a_deleted_name_made_again_is_another_actor(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    before = await fleet.actions.record(actor)
    await fleet.actions.delete(actor)
    after = await fleet.actions.create(actor, "counter")
    assert after.uid != before.uid and after.epoch == 0


async def test_a_list_is_paged_and_filtered(fleet: FakeFleet) -> None:
    for name in ("a", "b", "c", "d", "e"):
        await fleet.actor(name, template="other" if name == "c" else "counter")
    await fleet.actions.wake(ActorId("demo", "b"), wait_s=5)

    async def names(wanted: ListFilter, limit: int = 2) -> list[str]:
        found, cursor = await fleet.actions.list(wanted, cursor=None, limit=limit)
        while cursor is not None:
            page, cursor = await fleet.actions.list(wanted, cursor=cursor, limit=limit)
            assert len(page) <= limit
            found += page
        return [record.actor.name for record in found]

    assert await names(ListFilter()) == ["a", "b", "c", "d", "e"]
    assert await names(ListFilter(namespace="demo", template="counter")) == ["a", "b", "d", "e"]
    assert await names(ListFilter(state=ActorState.RUNNING)) == ["b"]
    assert await names(ListFilter(worker="w1")) == ["b"]
    assert await names(ListFilter(namespace="none")) == []
    now_ms = int(time.time() * 1000)
    assert await names(ListFilter(active_before_ms=now_ms - 60_000)) == []
    assert len(await names(ListFilter(active_before_ms=now_ms + 60_000))) == 5


async def test_a_filtered_page_examines_many_and_its_cursor_skips_none(
    fleet: FakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was examined beyond the page's end is examined again by the next one; a page that
    examined as much as it may is short, and goes on."""
    for n in range(30):
        await fleet.actor(f"a{n:02}", template="other" if n % 7 == 3 else "counter")
    wanted = ListFilter(template="other")
    for examined, most in ((1000, 2000), (4, 2000), (4, 4)):
        monkeypatch.setattr("lifecycle.actions._EXAMINED", examined)
        monkeypatch.setattr("lifecycle.actions._MOST_EXAMINED", most)
        cursor: str | None = None
        found, pages = list[str](), 0
        while pages == 0 or cursor is not None:
            page, cursor = await fleet.actions.list(wanted, cursor=cursor, limit=2)
            assert len(page) <= 2
            found += [record.actor.name for record in page]
            pages += 1
        assert found == ["a03", "a10", "a17", "a24"], (examined, most, found)


# Forks --------------------------------------------------------------------------------------


DST = ActorId("demo", "c2")


async def test_a_sleeping_actor_is_forked_as_it_sleeps(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.actions.set_policy(actor, {"idle": "never"})
    slept = await fleet.actions.suspend(actor, wait_s=0, force=False)
    made = await fleet.actions.fork(actor, DST)
    assert (made.actor, made.state, made.epoch) == (DST, ActorState.SUSPENDED, 0)
    assert (made.template, made.policy) == ("counter", '{"idle":"never"}')
    assert made.snapshot == "0-of-1-snapshot" and made.uid != slept.uid
    assert fleet.forks == [("1-snapshot", made.uid)]
    assert await fleet.actions.record(actor) == await fleet.actions.record(slept.actor)


async def test_a_running_actor_is_saved_first_and_runs_on(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    made = await fleet.actions.fork(actor, DST)
    source = await fleet.actions.record(actor)
    assert source.state is ActorState.RUNNING and source.snapshot == "1-saved"
    assert made.snapshot == "0-of-1-saved"


async def test_an_actor_that_never_ran_is_forked_into_a_new_one(fleet: FakeFleet) -> None:
    made = await fleet.actions.fork(await fleet.actor("c1"), DST)
    assert made.snapshot is None and not fleet.forks


async def test_a_fork_takes_no_name_that_is_taken_and_leaves_nothing(fleet: FakeFleet) -> None:
    actor, other = await running(fleet), await fleet.actor("c2")
    kept = await fleet.actions.record(other)
    with pytest.raises(ActorExists):
        await fleet.actions.fork(actor, other)
    assert not fleet.forks and await fleet.actions.record(other) == kept

    async def taken_meanwhile() -> None:
        await fleet.actor("c3")

    fleet.at_fork = taken_meanwhile
    with pytest.raises(ActorExists):
        await fleet.actions.fork(actor, ActorId("demo", "c3"))
    (_, uid), *_ = fleet.forks
    assert fleet.forgotten == [(ActorId("demo", "c3"), uid)]


async def test_a_source_that_is_deleted_meanwhile_is_not_forked(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.actions.suspend(actor, wait_s=0, force=False)

    async def deleted() -> None:
        await fleet.actions.delete(actor)
        raise SnapshotRefused("it is missing from the store", actor=actor)

    fleet.at_fork = deleted
    with pytest.raises(NoSuchActor):
        await fleet.actions.fork(actor, DST)
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(DST)
    assert [each for each, _ in fleet.forgotten] == [actor, DST]


async def test_a_name_given_to_another_actor_meanwhile_is_not_forked(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.actions.suspend(actor, wait_s=0, force=False)

    async def made_anew() -> None:
        fleet.at_fork = nothing
        await fleet.actions.delete(actor)
        await fleet.actor("c1")
        raise SnapshotRefused("it is missing from the store", actor=actor)

    async def nothing() -> None:
        pass

    fleet.at_fork = made_anew
    with pytest.raises(NoSuchActor, match="deleted meanwhile"):
        await fleet.actions.fork(actor, DST)
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(DST)


async def test_a_fork_given_up_half_way_leaves_no_actor_and_can_be_made_again(
    fleet: FakeFleet,
) -> None:
    actor = await running(fleet)
    begun, go = asyncio.Event(), asyncio.Event()

    async def hanging() -> None:
        begun.set()
        await go.wait()

    fleet.at_fork = hanging
    async with asyncio.TaskGroup() as group:
        forking = group.create_task(fleet.actions.fork(actor, DST))
        await begun.wait()
        forking.cancel()
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(DST)
    go.set()
    assert (await fleet.actions.fork(actor, DST)).actor == DST


async def test_a_damaged_snapshot_is_not_forked(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.actions.suspend(actor, wait_s=0, force=False)
    fleet.fork_error = SnapshotRefused("it is damaged")
    with pytest.raises(SnapshotRefused, match="damaged"):
        await fleet.actions.fork(actor, DST)
    with pytest.raises(NoSuchActor):
        await fleet.actions.record(DST)


async def test_an_actor_whose_worker_is_lost_is_forked_from_its_last_snapshot(
    fleet: FakeFleet,
) -> None:
    actor = await running(fleet)
    await fleet.actions.suspend(actor, wait_s=0, force=False)
    await fleet.actions.wake(actor, wait_s=5)
    await fleet.lose("w1")
    made = await fleet.actions.fork(actor, DST)
    assert made.snapshot == "0-of-1-snapshot"


async def test_one_that_left_its_worker_meanwhile_is_looked_at_again(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    one = fleet.workers["w1"]
    fence = one.fences.pop(actor)

    async def sleep_soon() -> None:
        while not one.refused:
            await asyncio.sleep(0)
        one.fences[actor] = fence
        await fleet.actions.suspend(actor, wait_s=0, force=False)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep_soon())
        made = await fleet.actions.fork(actor, DST)
    assert made.snapshot == "0-of-1-snapshot"


async def test_a_fork_stays_in_its_namespace(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    with pytest.raises(WrongNamespace, match="not in the namespace"):
        await fleet.actions.fork(actor, ActorId("other", "c2"))


async def test_logs_are_the_last_lines_of_whoever_had_it_last(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    fleet.workers["w1"].output = b"one\ntwo\nthree\n"
    await fleet.actions.suspend(actor, wait_s=0, force=False)
    assert await fleet.actions.logs(actor, tail_lines=2) == b"two\nthree\n"
    assert await fleet.actions.logs(actor, tail_lines=0) == b""
    assert await fleet.actions.logs(await fleet.actor("fresh"), tail_lines=9) == b""
    await fleet.lose("w1")
    with pytest.raises(DependencyAway, match="kept by worker w1, which is away"):
        await fleet.actions.logs(actor, tail_lines=2)


async def test_a_policy_is_checked_kept_and_taken_back(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    with pytest.raises(NotUnderstood, match="did you mean suspendAfter"):
        await fleet.actions.set_policy(actor, {"idle": {"suspendAftr": "never"}})
    kept = await fleet.actions.set_policy(actor, {"idle": {"suspendAfter": "never"}})
    assert kept.policy == '{"idle":{"suspendAfter":"never"}}'
    assert (await fleet.actions.set_policy(actor, {})).policy is None


async def test_a_drained_worker_holds_nothing(fleet: FakeFleet) -> None:
    actor = await running(fleet)
    await fleet.actions.drain("w1")
    assert (await fleet.actions.record(actor)).state is ActorState.SUSPENDED
    assert [record.worker for record in await fleet.actions.workers()] == ["w1"]
    with pytest.raises(NoSuchWorker, match="no worker w9"):
        await fleet.actions.drain("w9")


async def test_a_table_that_is_away_is_said_so(fleet: FakeFleet) -> None:
    away = connect("unix:///nowhere/redis.sock")
    actions = Actions(
        table=Table(away),
        catalog=Catalog(away),
        listing=Listing(away),
        leases=Leases(away, ttl_s=1, margin_s=0.01),
        waker=fleet,
        workers=lambda record: fleet.workers[record.worker],
        forget_snapshots=fleet.actions._forget,
        stored=fleet._stored,
        fork_snapshot=fleet._fork,
    )
    for ask in (actions.record(NOBODY), actions.workers(), actions.create(NOBODY, "t")):
        with pytest.raises(DependencyAway, match="placement table"):
            await ask
    with pytest.raises(DependencyAway, match="placement table"):
        await actions.list(ListFilter(), cursor=None, limit=5)
    await away.aclose()
