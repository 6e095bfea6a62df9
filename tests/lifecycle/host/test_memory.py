"""Memory in the life of a residence: when an image is written, from which one it goes on, and when
from none. With a driver that keeps memory as a word in a file; real memory is in tests/contract."""

import asyncio
import shutil

import pytest

from lifecycle.messages import Refused, SuspendAsk
from runtimes.base import Exit
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon, template

TERMS = {"version": ("1",), "processor": ("avx", "sse")}


def keeping(**terms: tuple[str, ...]) -> FakeDriver:
    driver = FakeDriver()
    driver.terms = {**TERMS, **terms}
    return driver


def slug(worker: TestWorker) -> str:
    (found,) = worker.driver.running
    return found


async def forget(worker: TestWorker) -> None:
    """What it kept: the next wake reads the store."""
    for path in (worker.places.root / "kept").glob("*/*"):
        await asyncio.to_thread(shutil.rmtree, path)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_wake_goes_on_from_the_image_of_its_snapshot(world: World, is_kept: bool) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        await worker.woken(actor)
        first = slug(worker)
        (worker.data(actor) / "n").write_text("7")
        await worker.host.suspend(SuspendAsk(actor=actor))
        if not is_kept:
            await forget(worker)
        await worker.woken(actor)
        assert worker.driver.came_from == {slug(worker): first}
        assert (worker.data(actor) / "n").read_text() == "7"
        # Expected, before its files are there: what takes time is begun beside the fetch.
        assert worker.driver.done.index(f"expect {slug(worker)}") < worker.driver.done.index(
            f"start {slug(worker)}"
        )


async def test_it_is_frozen_before_its_image_and_thawed_for_a_request_after(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "never", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        world.store.go.clear()
        await worker.woken(actor)
        first = slug(worker)
        await world.store.arrived.wait()
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert ticket.is_valid() and slug(worker) == first
        acts = [each.split()[0] for each in worker.driver.done]
        assert acts[acts.index("freeze") :] == ["freeze", "checkpoint", "thaw"]
        ticket.close()
        world.store.go.set()


async def test_memory_of_a_suspend_that_was_taken_back_is_never_woken(world: World) -> None:
    # Its image is on the disk when the program ends by itself; its files went on since.
    await world.apply(template(idle={"freezeAfter": "never", "suspendAfter": "10ms"}))
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        world.store.go.clear()
        await worker.woken(actor)
        residence = worker.host.residents[actor]
        await world.store.arrived.wait()
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert residence.copy is not None and residence.copy.image.exists()
        (worker.data(actor) / "n").write_text("later")
        world.store.go.set()
        residence.ready_at -= 3600
        worker.driver.exits(slug(worker), Exit(code=0))
        ticket.close()
        await residence.ended.wait()
        await worker.woken(actor)
        assert worker.driver.came_from == {}
        assert (worker.data(actor) / "n").read_text() == "later"


@pytest.mark.parametrize("is_kept", [True, False])
async def test_p6_memory_that_cannot_go_on_here_is_refused_by_name(
    world: World, is_kept: bool
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        await worker.woken(actor)
        await worker.host.suspend(SuspendAsk(actor=actor))
        if not is_kept:
            await forget(worker)
        worker.driver.terms = {**TERMS, "processor": ("sse",)}
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and answer.error == "SnapshotRefused"
        assert "its processor is avx" in answer.message
        # Nothing is lost by the refusal: where it can go on it does.
        worker.driver.terms = TERMS
        await worker.woken(actor)
        assert list(worker.driver.came_from) == [slug(worker)]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_template_may_start_it_anew_from_its_files(world: World, is_kept: bool) -> None:
    await world.apply(template(snapshot={"fallback": "data"}))
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        await worker.woken(actor)
        (worker.data(actor) / "n").write_text("7")
        await worker.host.suspend(SuspendAsk(actor=actor))
        if not is_kept:
            await forget(worker)
        worker.driver.terms = {**TERMS, "version": ("2",)}
        await worker.woken(actor)
        assert worker.driver.came_from == {}
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_a_template_of_files_alone_keeps_no_memory(world: World) -> None:
    await world.apply(template(snapshot={"scope": "data"}))
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        for _ in range(2):
            await worker.woken(actor)
            await worker.host.suspend(SuspendAsk(actor=actor))
        assert worker.driver.came_from == {} and not worker.driver.counted("checkpoint")


async def test_a_program_told_otherwise_does_not_go_on_from_the_old_ones_memory(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker(driver=keeping()) as worker:
        await worker.woken(actor)
        await worker.host.suspend(SuspendAsk(actor=actor))
        # How long it may idle is nothing that the program was told.
        await world.apply(template(idle={"suspendAfter": "never"}))
        worker.host.kit.templates.forget()
        await worker.woken(actor)
        assert len(worker.driver.came_from) == 1
        await worker.host.suspend(SuspendAsk(actor=actor))
        await world.apply(template(command=["false"]))
        worker.host.kit.templates.forget()
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and "its template is" in answer.message
