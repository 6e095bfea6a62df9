"""What a worker finds at its start: copies that run on, that died, that are another's by now.

An earlier incarnation is a worker whose tasks were stopped while its sandboxes were not: what
kill -9 leaves. The fake driver plays the machine that outlives it.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from lifecycle.host.places import Copy, Note
from lifecycle.host.residence import Phase
from lifecycle.messages import Here, SuspendAsk
from placement.model import ActorId, ActorRecord, ActorState, Claimant
from runtimes.base import Exit, Handle
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon


class Killed(FakeDriver):
    """A machine whose sandboxes outlive the worker: from `kill` on, nobody stops one by dying."""

    is_killed = False

    async def stop(self, handle: Handle, grace_s: float) -> None:
        if not self.is_killed:
            await super().stop(handle, grace_s)


@asynccontextmanager
async def killed_worker(world: World, driver: Killed) -> AsyncIterator[TestWorker]:
    """Worker w1; leaving kills it: lease, records and sandboxes stay as they are."""
    async with world.worker("w1", driver=driver) as worker:
        yield worker
        driver.is_killed = True
    driver.is_killed = False


async def record_of(world: World, actor: ActorId) -> ActorRecord:
    record = await world.table.read(actor)
    assert record is not None
    return record


async def ended(worker: TestWorker, actor: ActorId) -> None:
    while actor in worker.host.residents:
        await asyncio.sleep(0.01)


async def test_a_copy_that_still_runs_is_owned_anew_with_its_memory(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        before = await worker.woken(actor)
    (slug,) = driver.running
    async with world.worker("w1", driver=driver) as worker:
        here = await worker.woken(actor)
        assert (here.uid, here.epoch) == (before.uid, before.epoch + 1)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert ticket.is_valid() and driver.running == {slug}
        assert driver.counted("start") == 1 and driver.counted("thaw") == 1
        ticket.close()


async def test_an_adopted_copy_stays_frozen_until_somebody_asks(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
    async with world.worker("w1", driver=driver) as worker:
        residence = worker.host.residents[actor]
        assert isinstance(await residence.awake, Here)
        assert residence.phase is Phase.FROZEN and driver.done[-1].startswith("freeze")


async def test_p2_the_files_of_a_copy_that_died_are_saved(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("41")
    for slug in driver.running:
        driver.exits(slug, Exit(signal=9))
    async with world.worker("w1", driver=driver) as worker:
        await ended(worker, actor)
        record = await record_of(world, actor)
        assert record.state is ActorState.SUSPENDED and record.snapshot is not None
        assert record.failures == 0  # the worker's death is not the program's fault
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "41"


async def test_p1_a_copy_that_another_worker_took_is_killed_and_forgotten(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
    me = Claimant(worker="w2", incarnation="i2", door="unix:/w2/door")
    taken = await world.table.take_over(await record_of(world, actor), me, budget_ms=60_000)
    assert taken.record is not None
    async with world.worker("w1", driver=driver) as worker:
        await ended(worker, actor)
        assert driver.running == set() and worker.places.copies() == []
        assert await record_of(world, actor) == taken.record  # not a word was written


async def test_a_copy_of_a_name_deleted_and_made_again_is_killed(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
    owned = await record_of(world, actor)
    await world.table.release(owned.fence(), reason="operator", failed=False)
    await world.table.delete(actor, owned.uid)
    await world.create("c1")
    async with world.worker("w1", driver=driver) as worker:
        await ended(worker, actor)
        assert driver.running == set()
        here = await worker.woken(actor)
        assert (here.epoch, here.uid != owned.uid) == (1, True)


async def test_a_wake_that_was_cut_short_is_given_up_and_not_counted(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    driver.mute = True
    async with killed_worker(world, driver) as worker:
        async with asyncio.TaskGroup() as group:
            waking = group.create_task(worker.wake(actor))
            while not driver.running:
                await asyncio.sleep(0.005)
            residence = worker.host.residents[actor]
            while residence.note.handle is None:
                await asyncio.sleep(0.005)
            waking.cancel()
    assert (await record_of(world, actor)).state is ActorState.WAKING
    driver.mute = False
    async with world.worker("w1", driver=driver) as worker:
        await ended(worker, actor)
        record = await record_of(world, actor)
        assert record.state is ActorState.SUSPENDED and record.failures == 0
        assert record.reason == "its worker died while it woke" and driver.running == set()
        await worker.woken(actor)


async def test_a_request_that_comes_during_the_recovery_waits_for_it(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("41")
    for slug in driver.running:
        driver.exits(slug, Exit(signal=9))
    world.store.go.clear()
    async with world.worker("w1", driver=driver) as worker:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            await world.store.arrived.wait()
            assert not waiting.done()
            world.store.go.set()
        waiting.result().close()
        assert (worker.data(actor) / "n").read_text() == "41"


async def test_a_sandbox_without_a_note_is_swept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
    ((copy, note),) = worker.places.copies()
    copy.write(msgspec.structs.replace(note, handle=None))
    async with world.worker("w1", driver=driver) as worker:
        assert driver.running == set()
        assert "sandboxes without a note ended" in [r.message for r in caplog.records]
        await ended(worker, actor)
        assert (await record_of(world, actor)).state is ActorState.SUSPENDED


async def test_a_copy_whose_template_is_gone_is_saved_and_sleeps(world: World) -> None:
    actor, driver = await world.create("c1"), Killed()
    async with killed_worker(world, driver) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("41")
    await world.catalog.delete("demo", "counter")
    async with world.worker("w1", driver=driver) as worker:
        await ended(worker, actor)
        record = await record_of(world, actor)
        assert record.state is ActorState.SUSPENDED and record.snapshot is not None
        assert driver.running == set()


def test_a_note_tells_enough_to_find_the_copy(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "c")
    note = Note(actor=ActorId("demo", "c1"), uid="00ff", epoch=3, durable=("/data",))
    copy.make(note)
    assert copy.note() == note


async def test_p6_after_another_boot_a_copy_is_not_saved_for_its_files_may_be_torn(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("saved")
        await worker.host.suspend(SuspendAsk(actor=actor))
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("")  # what a power cut may leave
        places = worker.places
    for copy, note in places.copies():
        copy.write(msgspec.structs.replace(note, boot="another"))
    # The files kept beside the store's are of that boot too.
    shutil.rmtree(world.directory / "w1" / "kept")
    async with world.worker() as worker:
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "saved"
