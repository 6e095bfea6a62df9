"""Wakes of one worker on the real table: joined, refused, taken over. Not the suspends."""

import asyncio
import shutil

import pytest

from lifecycle.messages import Full, Here, Refused, There
from placement.leases import Leases
from placement.model import ActorId, ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import MARGIN_S, TTL_S, FakeDriver, World, soon, template


async def test_a23_a_herd_makes_exactly_one_wake(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        answers = await asyncio.gather(*(worker.wake(actor) for _ in range(200)))
        assert all(isinstance(a, Here) and a.epoch == 1 for a in answers)
        assert sum(a.began for a in answers if isinstance(a, Here)) == 1
        assert worker.driver.counted("start") == 1
        assert worker.meters.wakes["ok", "cold"] == 1


async def test_a27_a_caller_that_leaves_does_not_end_the_wake_of_the_others(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(worker.wake(actor))
            second = group.create_task(worker.wake(actor))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            first.cancel()
            late = group.create_task(worker.wake(actor))
            worker.driver.go.set()
        assert isinstance(second.result(), Here) and isinstance(late.result(), Here)
        assert worker.driver.counted("start") == 1


async def test_a27_each_caller_has_its_own_time(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.go.clear()
        impatient = await worker.wake(actor, wait_s=0.02)
        assert isinstance(impatient, Refused) and impatient.error == "WakeTimedOut"
        worker.driver.go.set()
        await worker.woken(actor)


async def test_a7_a_port_that_never_opens_is_refused_and_may_be_tried_again(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.mute = True
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and answer.error == "StartFailed"
        assert "not ready in 1 s" in answer.message and "127.0.0.1" not in answer.message
        worker.driver.mute = False
        here = await worker.woken(actor)
        assert here.epoch == 2
        assert len(worker.driver.running) == 1


async def test_three_failed_starts_make_it_failed_with_a_time_to_come_back(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.broken = True
        for _ in range(3):
            answer = await worker.wake(actor)
            assert isinstance(answer, Refused) and "no such program" in answer.message
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and answer.error == "StartFailed"
        assert answer.retry_after_s is not None and answer.retry_after_s > 30
        assert worker.driver.counted("start") == 3
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.FAILED


async def test_a_program_that_ends_before_it_is_ready_says_how(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.mute = True
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            while not worker.driver.running:
                await asyncio.sleep(0.005)
            for slug in worker.driver.running:
                worker.driver.exits(slug, Exit(code=3))
        answer = wake.result()
        assert isinstance(answer, Refused) and "exited with status 3" in answer.message


async def test_nobody_wakes_what_is_not_there(world: World) -> None:
    async with world.worker() as worker:
        answer = await worker.wake(ActorId("demo", "nobody"))
        assert isinstance(answer, Refused) and answer.error == "NoSuchActor"
        assert worker.driver.done == [] and worker.host.free == 10


async def test_a_full_worker_says_so_and_makes_room_when_asked(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker(slots=1) as worker:
        await worker.woken(first)
        assert isinstance(await worker.wake(second), Full)
        # Templates that never suspend are not evicted either.
        assert await worker.host.evict() is False
        await world.apply(template(idle={"suspendAfter": "1h"}))
        ticket = worker.door.admit(first)
        assert ticket is not None
        ticket.close()
        await worker.host.kit.table.read(first)


async def test_r8_of_two_workers_one_wins_and_the_other_points_to_it(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        answers = await asyncio.gather(one.wake(actor), two.wake(actor))
        here = [a for a in answers if isinstance(a, Here)]
        there = [a for a in answers if isinstance(a, There)]
        assert len(here) == 1 and len(there) == 1
        assert there[0].worker == here[0].worker
        assert one.driver.counted("start") + two.driver.counted("start") == 1


async def test_p3_another_worker_takes_over_when_the_owner_is_dead(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            assert (await one.woken(actor)).epoch == 1
            assert isinstance(await two.wake(actor), There)
        deadline = soon()
        while not isinstance(answer := await two.wake(actor), Here):
            assert asyncio.get_running_loop().time() < deadline, answer
            await asyncio.sleep(0.05)
        assert answer.epoch == 2


async def test_r12_a_worker_that_is_back_goes_before_one_that_would_take_over(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            await one.woken(actor)
            (one.data(actor) / "n").write_text("7")
            dead = one.host.claimant().incarnation
        await world.leases.retire("w1", dead)
        # It needs longer for its first look than the other one for a take-over.
        world.leases = Leases(world.redis, ttl_s=TTL_S, margin_s=5 * MARGIN_S)
        async with world.worker("w1") as again:
            # While w1 saves them w2 points to it; once they are saved w2 wakes from them.
            answer = await two.wake(actor)
            holder = again if isinstance(answer, There) else two
            ticket = await holder.door.admit_waiting(actor, deadline=soon())
            assert (holder.data(actor) / "n").read_text() == "7"
            ticket.close()


async def test_p3_a_worker_that_is_back_without_the_actor_does_not_keep_it(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            await one.woken(actor)
            dead = one.host.claimant().incarnation
        await world.leases.retire("w1", dead)
        shutil.rmtree(one.places.root / "copies")
        async with world.worker("w1"):
            assert (await two.woken(actor)).worker == "w2"


async def test_a_restarted_worker_saves_what_its_dead_self_had(world: World) -> None:
    """R12: the files on its disk are newer than the last snapshot, so they are what wakes."""
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("41")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "41"
        assert here.epoch > 1


async def test_a_lost_lease_stops_service_and_the_same_copy_is_owned_anew(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (slug,) = worker.driver.running
        ticket = worker.door.admit(actor)
        assert ticket is not None and ticket.is_valid()
        cut: list[str] = []
        ticket.on_cut(lambda: cut.append("cut"))
        before = worker.host.claimant().incarnation
        await world.leases.retire("w1", before)  # as if it had run out
        while not cut:
            await asyncio.sleep(0.01)
        assert not ticket.is_valid()
        ticket.close()
        while not worker.host.has_lease():  # until then the door says Fenced, at once
            await asyncio.sleep(0.005)
        again = await worker.door.admit_waiting(actor, deadline=soon())
        assert again.is_valid() and worker.host.claimant().incarnation != before
        again.close()
        record = await world.table.read(actor)
        assert record is not None and record.epoch == 2
        assert worker.driver.running == {slug}  # memory survived


async def test_a_copy_that_another_took_over_is_dropped_without_a_trace(world: World) -> None:
    """P1: w1 loses its lease, w2 takes the actor, w1 comes back and finds the newer epoch."""
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await one.woken(actor)
        record = await world.table.read(actor)
        assert record is not None
        # w2's take-over between the end of w1's lease and its return.
        taken = await world.table.take_over(record, two.host.claimant(), budget_ms=60_000)
        assert taken.is_done
        await world.leases.retire("w1", one.host.claimant().incarnation)
        while one.host.residents:
            await asyncio.sleep(0.01)
        assert one.driver.running == set()
        assert isinstance(await one.wake(actor), There)


@pytest.mark.parametrize("step", ["start"])
async def test_cancelled_in_mid_wake_a_worker_leaves_no_process(world: World, step: str) -> None:
    actor = await world.create("c1")
    driver = FakeDriver()
    driver.go.clear()
    async with world.worker(driver=driver) as worker:
        async with asyncio.TaskGroup() as group:
            wake = group.create_task(worker.wake(actor))
            while not driver.counted(step):
                await asyncio.sleep(0.005)
            wake.cancel()
    assert driver.running == set()
    driver.go.set()
    async with world.worker(driver=driver) as worker:
        await worker.woken(actor)


async def test_preload_is_refused_by_name_where_the_class_forks_no_actors(world: World) -> None:
    await world.apply(template(preload=["json"], command=["python3", "-m", "counter"]))
    actor = await world.create("c1")
    async with world.worker() as worker:
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and answer.error == "StartFailed"
        assert "cannot preload in runtime class process" in answer.message
        assert worker.driver.counted("start") == 0
