"""A table that lost everything, and the records that the store still tells of: real table, real
store, real hosts; only the drivers are fakes."""

from collections.abc import AsyncIterator

from lifecycle.actions import Actions
from lifecycle.messages import Here, SuspendAsk
from lifecycle.rebuilding import EPOCHS_ON, Rebuilt, rebuild
from lifecycle.snapshots.newest import Kept, Unreadable
from placement.listing import Listing
from placement.model import ActorId, ActorRecord, ActorState
from tests.lifecycle.host.fakes import TEMPLATE, TestWorker, World


async def slept(world: World, worker: TestWorker, name: str, text: str) -> ActorId:
    actor = ActorId.of("demo", name)
    if await world.table.read(actor) is None:
        await world.create(name)
    await worker.woken(actor)
    (worker.data(actor) / "file").write_text(text)
    await worker.host.suspend(SuspendAsk(actor=actor))
    return actor


async def lose_all(world: World) -> None:
    await world.redis.flushall()
    await world.apply(TEMPLATE)


async def test_after_the_loss_of_everything_an_actor_wakes_with_its_data_and_epochs_go_on(
    world: World,
) -> None:
    async with world.worker("w1") as worker:
        actor = await slept(world, worker, "c1", "first")
        await slept(world, worker, "c1", "second")
        # Claimed once more and left without a snapshot: an epoch that no name in the store tells.
        await worker.woken(actor)
        await worker.host.suspend(SuspendAsk(actor=actor, discard=True))
        before = await world.table.read(actor)
    assert before is not None
    await lose_all(world)
    done = await rebuild(world.table, world.vault.newest(""))
    assert done == Rebuilt(rebuilt=1, present=0, older=0, unreadable=0)
    record = await world.table.read(actor)
    assert record is not None and record.state is ActorState.SUSPENDED
    assert record.uid == before.uid and record.snapshot == before.snapshot
    assert record.epoch > before.epoch and record.revision > before.revision
    assert [each.actor for each in (await Listing(world.redis).list("demo"))[0]] == [actor]
    async with world.worker("w2") as worker:
        here = await worker.woken(actor)
        assert here.epoch > before.epoch
        assert (worker.data(actor) / "file").read_text() == "second"
        # P1: whatever an owner of before would still write is refused.
        stale = record.epoch - EPOCHS_ON
        assert here.epoch == record.epoch + 1 > stale
        await worker.host.suspend(SuspendAsk(actor=actor))


async def test_a_record_that_is_there_is_left_alone_however_often_it_is_repeated(
    world: World,
) -> None:
    async with world.worker() as worker:
        slept_since = await slept(world, worker, "c1", "one")
        await slept(world, worker, "c2", "two")
        lost = ActorId.of("demo", "c2")
        kept = await world.table.read(slept_since)
        await world.redis.delete("rouse:a:{demo/c2}")
        first = await rebuild(world.table, world.vault.newest("demo/"))
        again = await rebuild(world.table, world.vault.newest("demo/"))
        assert (first.rebuilt, first.present) == (1, 1)
        assert (again.rebuilt, again.present) == (0, 2)
        assert await world.table.read(slept_since) == kept
        await worker.woken(lost)
        assert (worker.data(lost) / "file").read_text() == "two"
        await worker.host.suspend(SuspendAsk(actor=lost))


async def test_what_runs_is_written_back_by_its_worker_and_not_by_the_store(world: World) -> None:
    """Its files are newer than its snapshot: had the rebuild come first, they would be lost."""
    async with world.worker() as worker:
        actor = await slept(world, worker, "c1", "saved")
        await worker.woken(actor)
        (worker.data(actor) / "file").write_text("newer")
        actions = Actions(
            table=world.table,
            catalog=world.catalog,
            listing=Listing(world.redis),
            leases=world.leases,
            waker=_NoWaker(),
            workers=lambda record: worker.host,
            forget_snapshots=_forget,
            fork_snapshot=_fork,
            stored=world.vault.newest,
        )
        await lose_all(world)
        done = await actions.rebuild(None)
        assert (done.rebuilt, done.present) == (0, 1)
        assert (worker.data(actor) / "file").read_text() == "newer"
        assert worker.driver.counted("stop") == 1  # of the first suspend
        await worker.host.suspend(SuspendAsk(actor=actor))


async def test_a_fork_is_made_anew_as_itself_and_not_as_its_source(world: World) -> None:
    async with world.worker() as worker:
        source = await slept(world, worker, "c1", "source")
        record = await world.table.read(source)
        assert record is not None and record.snapshot is not None
        fork, uid = ActorId.of("demo", "c2"), "00ff00ff00ff00ff"
        snapshot = await world.vault.fork("demo", record.uid, record.snapshot, uid, fork.name)
        made = await world.table.create(fork, template="counter", snapshot=snapshot, call=uid)
        assert made.is_done
        await lose_all(world)
        done = await rebuild(world.table, world.vault.newest(""))
        assert (done.rebuilt, done.older, done.unreadable) == (2, 0, 0)
        for actor in (source, fork):
            await worker.woken(actor)
            assert (worker.data(actor) / "file").read_text() == "source"
            await worker.host.suspend(SuspendAsk(actor=actor))
        again = await world.table.read(fork)
        assert again is not None and again.uid == uid


async def test_of_two_actors_of_one_name_the_later_one_is_made_anew(world: World) -> None:
    async with world.worker() as worker:
        actor = await slept(world, worker, "c1", "deleted")
        record = await world.table.read(actor)
        assert record is not None
        # Deleted, and the store was away: its snapshots are left to the collector.
        assert (await world.table.delete(actor, record.uid)).is_done
        await slept(world, worker, "c1", "made anew")
        await lose_all(world)
        done = await rebuild(world.table, world.vault.newest(""))
        assert (done.rebuilt, done.older) == (1, 1)
        await worker.woken(actor)
        assert (worker.data(actor) / "file").read_text() == "made anew"
        await worker.host.suspend(SuspendAsk(actor=actor))


class _NoWaker:
    async def find(self, actor: ActorId, *, deadline: float, request_id: str = "") -> Here:
        raise NotImplementedError


async def _forget(actor: ActorId, uid: str) -> None:
    raise NotImplementedError


async def _fork(source: ActorRecord, to: ActorId, uid: str) -> str:
    raise NotImplementedError


async def test_what_a_template_has_for_its_new_actors_is_no_actor(world: World) -> None:
    golden = f"g-{'a' * 24}-{'b' * 16}"

    async def stored() -> AsyncIterator[Kept | Unreadable]:
        yield Kept(
            actor=ActorId.of("demo", "nobody"),
            uid=golden,
            epoch=0,
            snapshot=f"0-{'a' * 26}",
            template="demo/counter",
            saved_ms=1,
        )
        yield Unreadable(namespace="demo", uid=golden, why="it names no template")

    done = await rebuild(world.table, stored())
    assert done == Rebuilt(rebuilt=0, present=0, older=0, unreadable=0)
    assert (await Listing(world.redis).list("demo"))[0] == []
