"""A worker asked over its RPC: the real server on a unix socket, with a real host or one that
refuses behind it. Each answer and each error arrives as it would in one process. What the
connection itself does is test_wire's and test_server's."""

import asyncio
import inspect
from pathlib import Path

import pytest

from lifecycle import errors
from lifecycle.errors import ActorBusy, DependencyAway, LifecycleError, NoSuchActor
from lifecycle.messages import Full, Here, Refused, SuspendAsk, There, WakeAsk
from lifecycle.rpc.client import Callers, FarWorker
from placement.model import ActorId, ActorState
from tests.lifecycle.host.fakes import World, template
from tests.lifecycle.rpc.serving import KEY, Refusing, far

ACTOR = ActorId("demo", "c1")
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LifecycleError) and kind is not LifecycleError
]


async def test_a_wake_over_the_wire_is_the_hosts_own(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        here = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(here, Here) and here.began and here.phases.total > 0
        assert (here.worker, here.epoch) == ("w1", 1)
        again = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(again, Here) and not again.began and again.uid == here.uid


async def test_there_full_and_refused_are_answers_and_no_errors(
    world: World, tmp_path: Path
) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker("w1", slots=1) as one, world.worker("w2", slots=1) as two:
        await one.woken(first)
        async with far(two.host, tmp_path) as it:
            there = await it.wake(WakeAsk(actor=first, wait_ms=10_000))
            assert there == There(worker="w1", rpc="unix:/w1/rpc")
            nobody = await it.wake(WakeAsk(actor=ActorId("demo", "nobody"), wait_ms=10_000))
            assert isinstance(nobody, Refused) and nobody.error == "NoSuchActor"
            await two.woken(second)
            full = await it.wake(WakeAsk(actor=first, wait_ms=10_000))
            assert full == Full(evictable=False)


async def test_a_caller_that_hangs_up_does_not_end_the_wake(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(it.wake(WakeAsk(actor=actor, wait_ms=10_000)))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            gone.cancel()
        worker.driver.go.set()
        here = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(here, Here) and worker.driver.counted("start") == 1


async def test_suspend_evict_status_logs_and_drain(world: World, tmp_path: Path) -> None:
    await world.apply(template(idle={"suspendAfter": "1h"}))
    actor, other = await world.create("c1"), await world.create("c2")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        here = await worker.woken(actor)
        status = await it.status()
        assert [(r.actor, r.state, r.epoch) for r in status.actors] == [(actor, "running", 1)]
        worker.places.log(here.uid).write_bytes(b"one\ntwo\n")
        assert await it.logs(actor, 4) == b"two\n"
        await it.suspend(SuspendAsk(actor=actor))
        assert await it.evict() is False
        await worker.woken(other)
        worker.host.residents[other].gate.last_active -= 60
        assert await it.evict() is True
        await worker.woken(actor)
        await it.drain()
        assert (await it.status()).draining and worker.host.residents == {}
        for each in (actor, other):
            record = await world.table.read(each)
            assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot


async def test_a_busy_actor_is_busy_over_the_wire_too(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        with pytest.raises(ActorBusy, match="1 open requests"):
            await it.suspend(SuspendAsk(actor=actor))
        assert ticket.is_valid()
        ticket.close()
        with pytest.raises(NoSuchActor):
            await it.suspend(SuspendAsk(actor=ActorId("demo", "nobody")))


@pytest.mark.parametrize("kind", KINDS)
async def test_every_error_arrives_as_itself(kind: type[LifecycleError], tmp_path: Path) -> None:
    error = kind("why it was refused", actor=ACTOR)
    error.retry_after_s = 7.0
    async with far(Refusing(error=error), tmp_path) as it:
        for call in (
            it.wake(WakeAsk(actor=ACTOR, wait_ms=1)),
            it.suspend(SuspendAsk(actor=ACTOR)),
            it.logs(ACTOR, 10),
        ):
            with pytest.raises(LifecycleError, match="why it was refused") as caught:
                await call
            assert type(caught.value) is kind
            assert (caught.value.actor, caught.value.retry_after_s) == (ACTOR, 7.0)


@pytest.mark.parametrize("shown", [None, "wrong-horse-battery-staple", KEY + "x", ""])
async def test_without_the_key_nothing_is_learnt_or_done(shown: str | None, tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("no actor demo/c1"))
    async with far(worker, tmp_path, key=KEY, shown=shown) as it:
        with pytest.raises(DependencyAway, match="the shared key is another one"):
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))
        with pytest.raises(DependencyAway, match="the shared key is another one"):
            await it.drain()
    assert worker.asked == []


async def test_with_the_key_it_answers(tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("no actor demo/c1"))
    async with far(worker, tmp_path, key=KEY, shown=KEY) as it:
        with pytest.raises(NoSuchActor):
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))


async def test_a_mistake_of_the_worker_is_no_secret_to_give_away(tmp_path: Path) -> None:
    async with far(Refusing(error=RuntimeError("password=hunter2")), tmp_path) as it:
        with pytest.raises(DependencyAway, match="answered broken") as caught:
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))
        assert "hunter2" not in str(caught.value)


async def test_a_worker_that_is_gone_is_away_at_once(tmp_path: Path) -> None:
    callers = Callers(None)
    for rpc in (f"unix:{tmp_path}/nowhere.sock", "127.0.0.1:1"):
        with pytest.raises(DependencyAway, match="cannot be reached"):
            async with asyncio.timeout(2):
                await FarWorker(rpc, callers).wake(WakeAsk(actor=ACTOR, wait_ms=60_000))
    await callers.close()
