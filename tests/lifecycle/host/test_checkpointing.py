"""Checkpoints of a running actor. When one is due: test_reaper. With a real program and a worker
that is killed: tests/system."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.errors import ActorBusy, DependencyAway, NotHere
from lifecycle.host.checkpointing import look_of
from lifecycle.messages import SaveAsk, SuspendAsk
from lifecycle.snapshots.base import StoreUnavailable
from placement.model import ActorId, ActorState
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon, template

OFTEN = {"every": "1s"}


async def until(look: Callable[[], object]) -> None:
    deadline = soon()
    while not look():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def woken(world: World, worker: TestWorker) -> ActorId:
    await world.apply(template(snapshot=OFTEN))
    actor = await world.create("c1")
    await worker.woken(actor)
    (worker.data(actor) / "n").write_text("7")
    return actor


def remembering() -> FakeDriver:
    driver = FakeDriver()
    driver.terms = {"runtime": ("fake",)}
    return driver


def due(worker: TestWorker, actor: ActorId) -> None:
    """Its time has passed."""
    residence = worker.host.residents[actor]
    residence.looked_at -= 3600
    residence.stir()


async def test_what_a_dead_workers_actor_wrote_before_its_checkpoint_is_there(
    world: World,
) -> None:
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            actor = await woken(world, one)
            due(one, actor)
            await until(lambda: one.meters.checkpoints["saved"] == 1)
            record = await world.table.read(actor)
            assert record is not None and record.state is ActorState.RUNNING
            assert record.snapshot is not None
            (one.data(actor) / "n").write_text("lost")
        await world.leases.retire("w1", one.host.claimant().incarnation)
        await two.woken(actor)
        assert (two.data(actor) / "n").read_text() == "7"


async def test_nothing_is_saved_when_nothing_changed(world: World) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        for _ in range(2):
            due(worker, actor)
            await until(lambda: worker.meters.checkpoints["saved"] == 1)
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["unchanged"] >= 1)
        assert worker.meters.checkpoints["saved"] == 1
        (worker.data(actor) / "m").write_text("8")
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["saved"] == 2)


async def test_memory_is_kept_beside_its_files_and_a_frozen_one_is_saved_once(
    world: World,
) -> None:
    async with world.worker("w2", driver=remembering()) as two:
        async with world.worker("w1", driver=remembering()) as one:
            actor = await woken(world, one)
            due(one, actor)
            await until(lambda: one.meters.checkpoints["saved"] == 1)
            # It ran on, so its memory is another one by now.
            due(one, actor)
            await until(lambda: one.meters.checkpoints["saved"] == 2)
            copy = one.host.residents[actor].copy
            assert copy is not None
            await until(lambda: not (copy.path / "staged").exists())
            slug = next(iter(one.driver.running))
        await world.leases.retire("w1", one.host.claimant().incarnation)
        await two.woken(actor)
        assert list(two.driver.came_from.values()) == [slug]
        assert (two.data(actor) / "n").read_text() == "7"


async def test_a_frozen_actor_is_saved_frozen_and_only_once(world: World) -> None:
    async with world.worker(driver=remembering()) as worker:
        idle = {"freezeAfter": "100ms", "suspendAfter": "never"}
        await world.apply(template(snapshot=OFTEN, idle=idle))
        actor = await world.create("c1")
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        await until(lambda: residence.is_frozen)
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["saved"] >= 1)
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["unchanged"] >= 1)
        assert residence.is_frozen and worker.driver.counted("thaw") == 0


async def test_a_save_that_is_asked_for_holds_what_was_before_the_call(world: World) -> None:
    async with world.worker() as worker:
        await world.apply(template())
        actor = await world.create("c1")
        await worker.woken(actor)
        open_one = await worker.door.admit_waiting(actor, deadline=soon())
        (worker.data(actor) / "n").write_text("1")
        world.store.arrived.clear()
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(worker.host.save(SaveAsk(actor=actor, wait_ms=20_000)))
            await world.store.arrived.wait()
            (worker.data(actor) / "n").write_text("2")
            second = group.create_task(worker.host.save(SaveAsk(actor=actor, wait_ms=20_000)))
            await asyncio.sleep(0)
            world.store.go.set()
            await first
            await second
        assert worker.meters.checkpoints["saved"] == 2 and open_one.is_valid()
        open_one.close()
        record = await world.table.read(actor)
        assert record is not None and record.snapshot is not None
        out = world.directory / "out"
        await world.vault.restore("demo", record.uid, record.snapshot, {"/data": out})
        assert (out / "n").read_text() == "2"


async def test_who_asks_for_a_save_is_told_why_there_is_none(world: World) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        ask = SaveAsk(actor=actor, wait_ms=20_000)
        world.store.error = StoreUnavailable("it is away")
        with pytest.raises(DependencyAway, match="it is away"):
            await worker.host.save(ask)
        world.store.error = None
        world.store.arrived.clear()
        world.store.go.clear()
        with pytest.raises(ActorBusy, match="in time"):
            await worker.host.save(SaveAsk(actor=actor, wait_ms=50))
        await world.store.arrived.wait()
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await until(lambda: worker.host.residents[actor].order is not None)
            asked = group.create_task(_not_here(worker, ask))
            await asyncio.sleep(0)
            world.store.go.set()
            await leaving
            await asked
        with pytest.raises(NotHere):
            await worker.host.save(ask)


async def _not_here(worker: TestWorker, ask: SaveAsk) -> None:
    with pytest.raises(NotHere):
        await worker.host.save(ask)


async def test_p4_an_open_request_outlives_a_checkpoint_and_a_new_one_is_let_in_during_the_upload(
    world: World,
) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        open_one = await worker.door.admit_waiting(actor, deadline=soon())
        world.store.arrived.clear()
        world.store.go.clear()
        due(worker, actor)
        await world.store.arrived.wait()
        new_one = await worker.door.admit_waiting(actor, deadline=soon())
        assert open_one.is_valid() and new_one.is_valid()
        world.store.go.set()
        await until(lambda: worker.meters.checkpoints["saved"] == 1)
        assert open_one.is_valid() and new_one.is_valid()
        open_one.close()
        new_one.close()


async def test_a_checkpoint_is_no_activity(world: World) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        before = worker.host.residents[actor].gate.last_active
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["saved"] == 1)
        assert worker.host.residents[actor].gate.last_active == before
        assert worker.meters.wakes["ok", "thaw"] == 0


async def test_an_order_to_suspend_does_not_wait_for_an_upload(world: World) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        world.store.arrived.clear()
        world.store.go.clear()
        due(worker, actor)
        await world.store.arrived.wait()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await until(lambda: worker.meters.checkpoints["yielded"] == 1)
            world.store.go.set()
            await asked
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED


async def test_a_store_that_is_away_costs_a_try_and_not_the_actor(world: World) -> None:
    async with world.worker() as worker:
        actor = await woken(world, worker)
        world.store.error = DependencyAway("away")
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["failed"] == 1)
        assert worker.host.residents[actor].gate.is_open
        world.store.error = None
        await until(lambda: worker.meters.checkpoints["saved"] == 1)


async def test_a_frozen_actor_is_saved_as_it_stands(world: World) -> None:
    await world.apply(
        template(snapshot=OFTEN, idle={"freezeAfter": "10ms", "suspendAfter": "never"})
    )
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        await until(lambda: worker.host.residents[actor].is_frozen)
        thaws = worker.driver.counted("thaw")
        due(worker, actor)
        await until(lambda: worker.meters.checkpoints["saved"] == 1)
        assert worker.driver.counted("thaw") == thaws and worker.host.residents[actor].is_frozen


@pytest.mark.parametrize("change", ["write", "make", "remove", "rename", "mode"])
def test_a_tree_looks_otherwise_after_any_change(tmp_path: Path, change: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "n").write_text("7")
    before = look_of({"/data": tmp_path})
    assert look_of({"/data": tmp_path}) == before
    file = tmp_path / "d" / "n"
    match change:
        case "write":
            file.write_text("78")
        case "make":
            (tmp_path / "m").touch()
        case "remove":
            file.unlink()
        case "rename":
            file.rename(tmp_path / "d" / "o")
        case _:
            file.chmod(0o600)
    assert look_of({"/data": tmp_path}) != before
