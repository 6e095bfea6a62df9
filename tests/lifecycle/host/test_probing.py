"""Programs that hang, die or are killed are noticed without a request. The rule: test_health; the
kernel's word on memory: the drivers' contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lifecycle.host.health import Health, Patience
from lifecycle.host.kit import HostSettings
from placement.model import ActorId, ActorState
from runtimes.base import Exit
from tests.lifecycle.host.fakes import TestWorker, World, soon

QUICK = HostSettings(probe_every_s=0.02, patience=Patience(failures=2, failing_s=0.1))


@asynccontextmanager
async def woken(world: World) -> AsyncIterator[tuple[TestWorker, ActorId]]:
    actor = await world.create("c1")
    async with world.worker(limits=QUICK) as worker:
        await worker.woken(actor)
        worker.host.residents[actor].ready_at -= 3600  # no quick exit
        (worker.data(actor) / "n").write_text("7")
        yield worker, actor


async def state(world: World, actor: ActorId) -> tuple[ActorState, str | None]:
    record = await world.table.read(actor)
    assert record is not None
    return record.state, record.reason


async def test_a_program_that_hangs_is_ended_its_files_are_saved_and_it_wakes_anew(
    world: World,
) -> None:
    async with woken(world) as (worker, actor):
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert ticket.is_valid()  # it got its first byte
        worker.driver.close()  # and says nothing any more
        residence = worker.host.residents[actor]
        while residence.health is not Health.MUTE:
            await asyncio.sleep(0.01)
        ticket.close()  # its client gave up
        await residence.ended.wait()
        now, reason = await state(world, actor)
        assert now is ActorState.SUSPENDED and reason is not None and reason.startswith("hung")
        assert worker.meters.hung == 1
        await worker.woken(actor)
        assert (worker.data(actor) / "n").read_text() == "7"


async def test_a25_a_program_that_only_fails_its_readiness_is_left_alone(world: World) -> None:
    async with woken(world) as (worker, actor):
        worker.driver.close()
        residence = worker.host.residents[actor]
        while residence.health is not Health.MUTE:
            await asyncio.sleep(0.01)
        served = await worker.door.admit_waiting(actor, deadline=soon())
        assert served.is_valid() and served.is_valid()  # a head came too
        served.close()
        await asyncio.sleep(0.3)
        assert worker.host.residents[actor] is residence and worker.meters.hung == 0


async def test_r9_a_program_that_is_killed_for_its_memory_is_noticed_without_a_request(
    world: World,
) -> None:
    async with woken(world) as (worker, actor):
        residence = worker.host.residents[actor]
        (slug,) = worker.driver.running
        worker.driver.exits(slug, Exit(signal=9, oom=True))
        await residence.ended.wait()
        assert await state(world, actor) == (ActorState.SUSPENDED, "killed: out of memory")
        assert worker.host.free == 10


async def test_a33_a_probe_is_no_activity(world: World) -> None:
    async with woken(world) as (worker, actor):
        residence = worker.host.residents[actor]
        before = residence.gate.last_active
        await asyncio.sleep(0.2)
        assert residence.health is Health.WELL and residence.gate.last_active == before
