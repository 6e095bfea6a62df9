"""Whom a search asks, in what order, and who makes room. Real hosts on the real table."""

import random

import pytest

from lifecycle.asking import Asking, Round
from lifecycle.catalogue import KnownTemplates
from lifecycle.errors import DependencyAway, NoCapacity, SnapshotFailed, StartFailed
from lifecycle.messages import Here, SuspendAsk, WakeAsk
from placement.leases import boot_time
from placement.model import ActorId, ActorRecord
from runtimes.base import Handle, SandboxSpec
from tests.lifecycle.gateway_side import GatewaySide
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon, template

IDLE = {"freezeAfter": "never", "suspendAfter": "1h"}


class FullDisk(FakeDriver):
    async def start(self, spec: SandboxSpec) -> Handle:
        self.done.append(f"start {spec.slug}")
        raise OSError(28, "No space left on device")


async def record_of(world: World, actor: ActorId) -> ActorRecord:
    record = await world.table.read(actor)
    assert record is not None
    return record


class Asker:
    """One search's rounds over the workers as the roster has them now."""

    def __init__(self, world: World, *workers: TestWorker, seed: int = 1) -> None:
        self.world = world
        self.side = GatewaySide(world, *workers)
        self.asking = Asking(self.side.roster, self.side.worker_at, random.Random(seed))
        self.templates = KnownTemplates(world.catalog, clock=boot_time)
        self.avoid: set[str] = set()

    async def round(self, actor: ActorId, record: ActorRecord | None = None) -> Here:
        record = record or await record_of(self.world, actor)
        return await self.asking.ask(
            Round(
                record=record,
                template=await self.templates.get("demo", "counter"),
                ask=WakeAsk(actor=actor, wait_ms=10_000),
                avoid=self.avoid,
            )
        )

    async def until_told_full(self, worker: str) -> None:
        """The worker's own heartbeat says that it has no slot."""
        while not any(w.worker == worker and not w.free for w in await self.side.roster.refresh()):
            pass


def has_been_idle(worker: TestWorker, actor: ActorId, seconds: float) -> None:
    worker.host.residents[actor].gate.last_active -= seconds


async def test_where_it_slept_last_is_asked_first(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        await two.woken(actor)
        await two.host.suspend(SuspendAsk(actor=actor))
        for seed in range(5):
            asker = Asker(world, one, two, seed=seed)
            asker.side.cut.update(("w1", "w2"))
            with pytest.raises(NoCapacity):
                await asker.round(actor)
            assert next(iter(asker.side.calls)) == "wake w2"


async def test_the_owner_is_asked_first_though_it_has_no_free_slot(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1", slots=1) as one, world.worker("w2") as two:
        await one.woken(actor)
        asker = Asker(world, one, two)
        await asker.until_told_full("w1")
        here = await asker.round(actor)
        assert here.worker == "w1" and asker.side.calls == {"wake w1": 1}


async def test_a_worker_that_points_to_another_is_followed(world: World) -> None:
    """The claim was made between this gateway's look at the table and its call."""
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        looked = await record_of(world, actor)
        await one.woken(actor)
        asker = Asker(world, one, two)
        asker.side.roster._workers = [
            w for w in await asker.side.roster.refresh() if w.worker == "w2"
        ]
        here = await asker.round(actor, looked)
        assert (here.worker, here.epoch) == ("w1", 1)
        assert list(asker.side.calls) == ["wake w2", "wake w1"]


async def test_a_full_worker_makes_room_for_another_actor(world: World) -> None:
    await world.apply(template(idle=IDLE))
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker("w1", slots=1) as worker:
        await worker.woken(first)
        has_been_idle(worker, first, 60)
        asker = Asker(world, worker)
        await asker.until_told_full("w1")  # full by its own word, and asked all the same
        here = await asker.round(second)
        assert here.worker == "w1" and asker.side.calls == {"wake w1": 2, "evict w1": 1}
        assert (await record_of(world, first)).snapshot is not None
        assert worker.meters.suspends["committed", "evict"] == 1


async def test_the_longest_idle_actor_makes_the_room(world: World) -> None:
    await world.apply(template(idle=IDLE))
    actors = [await world.create(f"c{n}") for n in range(3)]
    async with world.worker("w1", slots=3) as worker:
        for actor, idle_s in zip(actors, (20, 60, 40), strict=True):
            await worker.woken(actor)
            has_been_idle(worker, actor, idle_s)
        await Asker(world, worker).round(await world.create("c9"))
        assert set(worker.host.residents) == {actors[0], actors[2], ActorId("demo", "c9")}


async def test_nobody_is_evicted_while_a_slot_is_free_elsewhere(world: World) -> None:
    await world.apply(template(idle=IDLE))
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker("w1", slots=1) as one, world.worker("w2", slots=1) as two:
        await one.woken(first)
        has_been_idle(one, first, 60)
        for seed in range(5):
            asker = Asker(world, one, two, seed=seed)
            here = await asker.round(second)
            assert here.worker == "w2" and asker.side.counted("evict") == 0


async def test_an_actor_with_an_open_request_is_not_evicted(world: World) -> None:
    await world.apply(template(idle=IDLE))
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker("w1", slots=1) as worker:
        await worker.woken(first)
        ticket = worker.door.admit(first)
        assert ticket is not None
        has_been_idle(worker, first, 60)
        with pytest.raises(NoCapacity, match="full"):
            await Asker(world, worker).round(second)
        assert ticket.is_valid()
        ticket.close()


async def test_a_draining_worker_gets_no_new_actor(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker:
        worker.host.is_draining = True
        asker = Asker(world, worker)
        worker.host._lease.renew_soon()  # type: ignore[union-attr]
        while not all(w.draining for w in await asker.side.roster.refresh()):
            pass
        with pytest.raises(NoCapacity, match="of 1 1 draining"):
            await asker.round(actor)
        assert asker.side.calls == {}


async def test_without_any_worker_it_says_so(world: World) -> None:
    actor = await world.create("c1")
    with pytest.raises(NoCapacity, match="no worker is registered"):
        await Asker(world).round(actor)


async def test_a_worker_that_cannot_be_reached_is_passed_over(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        asker = Asker(world, one, two)
        asker.side.cut.add("w1")
        assert (await asker.round(actor)).worker == "w2"


async def test_one_workers_full_disk_is_not_every_ones(world: World) -> None:
    """It had the actor last, so it is always the first to be asked: the next round asks another."""
    actor = await world.create("c1")
    async with world.worker("w1", driver=FullDisk()) as one, world.worker("w2") as two:
        asker = Asker(world, one, two)
        asker.side.roster._workers = [
            w for w in await asker.side.roster.refresh() if w.worker == "w1"
        ]
        with pytest.raises(DependencyAway, match="No space left"):
            await asker.round(actor)
        assert asker.avoid == {"w1"} and one.driver.counted("start") == 1
        await asker.side.roster.refresh()
        assert (await asker.round(actor)).worker == "w2"
        assert one.driver.counted("start") == 1


async def test_when_no_other_is_left_the_avoided_are_asked_again(world: World) -> None:
    actor = await world.create("c1")
    driver = FullDisk()
    async with world.worker("w1", driver=driver) as one:
        asker = Asker(world, one)
        for turn in (1, 2):
            with pytest.raises(DependencyAway):
                await asker.round(actor)
            assert driver.counted("start") == turn


async def test_what_speaks_of_the_actor_itself_ends_the_round(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        one.driver.broken = two.driver.broken = True
        asker = Asker(world, one, two)
        with pytest.raises(StartFailed):
            await asker.round(actor)
        assert asker.side.counted("wake") == 1 and asker.avoid == set()
        assert not issubclass(StartFailed, DependencyAway | SnapshotFailed)


async def test_a_worker_without_the_template_s_runtime_is_not_asked(world: World) -> None:
    await world.apply(template(runtime={"class": "bubblewrap"}))
    actor = await world.create("c1")
    async with world.worker("w1") as worker:
        asker = Asker(world, worker)
        with pytest.raises(NoCapacity, match="could run it: of 1 1 without runtime bubblewrap"):
            await asker.round(actor)
        assert asker.side.calls == {} and soon() > 0


@pytest.mark.parametrize(
    ("runtime", "lacking"),
    [({"requires": ["isolation"]}, "isolation"), ({"labels": {"zone": "b"}}, "label zone=b")],
)
async def test_what_a_template_requires_decides_who_is_asked(
    world: World, runtime: dict[str, object], lacking: str
) -> None:
    await world.apply(template(runtime=runtime))
    actor = await world.create("c1")
    async with world.worker("w1") as worker:
        worker.host.labels = {"zone": "a"}
        asker = Asker(world, worker)
        with pytest.raises(NoCapacity, match=f"of 1 1 without {lacking}"):
            await asker.round(actor)
        assert asker.side.calls == {}


async def test_a40_the_longest_idle_actor_of_the_whole_cluster_makes_the_room(
    world: World,
) -> None:
    """Not that of the worker that happens to be asked first, whatever their heartbeats said."""
    await world.apply(template(idle=IDLE))
    for seed, idle in enumerate(((20, 60, 40), (40, 20, 60), (60, 40, 20))):
        async with (
            world.worker("w1", slots=1) as one,
            world.worker("w2", slots=1) as two,
            world.worker("w3", slots=1) as three,
        ):
            workers = (one, two, three)
            for n, (worker, idle_s) in enumerate(zip(workers, idle, strict=True)):
                held = await world.create(f"held-{seed}-{n}")
                await worker.woken(held)
                has_been_idle(worker, held, idle_s)
            asker = Asker(world, *workers, seed=seed)
            here = await asker.round(await world.create(f"new-{seed}"))
            longest = max(range(3), key=lambda n: idle[n])
            assert here.worker == workers[longest].host.worker
            assert asker.side.counted("evict") == 1
            for worker in workers:
                await worker.host.drain()


async def test_why_a_worker_was_chosen_is_told_by_the_worker(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as one, world.worker("w2") as two:
        here = await Asker(world, one, two).round(actor)
        woken = {"w1": one, "w2": two}[here.worker]
        assert [a.chosen for a in (await woken.host.status()).actors] == ["free of 2"]
        await woken.host.suspend(SuspendAsk(actor=actor))
        assert (await Asker(world, one, two).round(actor)).worker == here.worker
        assert [a.chosen for a in (await woken.host.status()).actors] == ["local of 2"]


async def test_a_draining_worker_is_no_other_to_wait_for(world: World) -> None:
    """The one that could not do it is asked again rather than nobody."""
    actor = await world.create("c1")
    driver = FullDisk()
    async with world.worker("w1", driver=driver) as one, world.worker("w2") as two:
        two.host.is_draining = True
        two.host._lease.renew_soon()  # type: ignore[union-attr]
        asker = Asker(world, one, two)
        while not any(w.draining for w in await asker.side.roster.refresh()):
            pass
        for turn in (1, 2):
            with pytest.raises(DependencyAway):
                await asker.round(actor)
            assert driver.counted("start") == turn
