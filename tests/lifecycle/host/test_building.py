"""A template's golden is built once, for nobody, and every new actor begins from it. What a worker
keeps of it: test_golden."""

import asyncio
from pathlib import Path

from lifecycle.messages import SuspendAsk
from placement.model import ActorId
from runtimes.base import Handle, RuntimeFailure, SandboxSpec
from tests.lifecycle.host.fakes import FakeDriver, TestWorker, World, soon, template

GOLDEN = {"golden": True}


class Born(FakeDriver):
    """With memory; a program that writes at its first start who it was told that it is."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = {"runtime": ("fake",)}
        self.refuses = False
        self.envs: dict[str, SandboxSpec] = {}

    async def start(self, spec: SandboxSpec) -> Handle:
        self.envs[spec.slug] = spec
        file = spec.durable["/data"] / "born"
        if not file.exists():
            file.write_text(spec.slug)
        return await super().start(spec)

    async def restore(self, spec: SandboxSpec, image: Path) -> Handle:
        if self.refuses:
            raise RuntimeFailure("it cannot go on")
        return await super().restore(spec, image)


def born(worker: TestWorker, actor: ActorId) -> str:
    return (worker.data(actor) / "born").read_text()


async def golden_of(world: World, worker: TestWorker) -> str:
    """The slug of the copy that the golden was made of."""
    driver = worker.driver
    assert isinstance(driver, Born)
    return next(slug for slug in driver.envs if slug.startswith("rouse-g-"))


async def stored(world: World) -> list[str]:
    return sorted([key async for key in world.store.keys("demo/g-") if "/m/" in key])


async def built(world: World, worker: TestWorker, name: str = "c1") -> ActorId:
    """The first actor, which starts as ever, and the golden that it made wanted."""
    await world.apply(template(snapshot=GOLDEN))
    first = await world.create(name)
    await worker.woken(first)
    deadline = soon()
    while not await stored(world) or any(s.startswith("rouse-g-") for s in worker.driver.running):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    await worker.host.suspend(SuspendAsk(actor=first))
    return first


async def test_new_actors_go_on_from_memory_and_files_of_the_golden(world: World) -> None:
    driver = Born()
    async with world.worker(driver=driver) as worker:
        first = await built(world, worker)
        pair = [await world.create(name) for name in ("c2", "c3")]
        for actor in pair:
            await worker.woken(actor)
        golden = await golden_of(world, worker)
        assert list(driver.came_from.values()) == [golden, golden]
        assert [born(worker, actor) for actor in pair] == [golden, golden]
        # What one of them writes is its own, and outlives it: it is no golden's any more.
        (worker.data(pair[0]) / "born").write_text("mine")
        await worker.host.suspend(SuspendAsk(actor=pair[0]))
        await worker.woken(pair[0])
        assert [born(worker, actor) for actor in pair] == ["mine", golden]
        await worker.woken(first)
        assert born(worker, first).startswith("rouse-") and born(worker, first) != golden


async def test_it_is_built_of_nobody(world: World) -> None:
    driver = Born()
    async with world.worker(driver=driver) as worker:
        await built(world, worker)
        spec = driver.envs[await golden_of(world, worker)]
        assert spec.actor == ""
        assert not list(worker.places.root.glob("copies/g-*"))
        assert not worker.places.copies()


async def test_one_of_all_workers_builds_it_and_the_others_fetch_it(world: World) -> None:
    drivers = Born(), Born()
    async with world.worker("w1", driver=drivers[0]) as one:
        async with world.worker("w2", driver=drivers[1]) as two:
            await world.apply(template(snapshot=GOLDEN))
            actors = [await world.create(f"c{number}") for number in range(6)]
            await asyncio.gather(
                *(one.woken(actor) for actor in actors[:3]),
                *(two.woken(actor) for actor in actors[3:]),
            )
            deadline = soon()
            while not await stored(world):
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.01)
            for worker in (one, two):
                goldens = worker.host.kit.goldens
                assert goldens is not None
                goldens._absent.clear()  # as time does
                actor = await world.create(f"new-{worker.host.worker}")
                await worker.woken(actor)
                assert born(worker, actor).startswith("rouse-g-")
            slugs = [slug for driver in drivers for slug in driver.envs]
            assert sum(slug.startswith("rouse-g-") for slug in slugs) == 1
            assert len(await stored(world)) == 1


async def test_a_changed_template_has_a_golden_of_its_own(world: World) -> None:
    driver = Born()
    async with world.worker(driver=driver) as worker:
        await built(world, worker)
        await world.apply(template(snapshot=GOLDEN, command=["false"]))
        worker.host.kit.templates.forget("demo")  # as the feed says
        actor = await world.create("c2")
        await worker.woken(actor)
        assert not born(worker, actor).startswith("rouse-g-")
        deadline = soon()
        while len(await stored(world)) < 2:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)


async def test_a_template_that_asks_for_none_has_none(world: World) -> None:
    async with world.worker(driver=Born()) as worker:
        await world.apply(template())
        await worker.woken(await world.create("c1"))
        goldens = worker.host.kit.goldens
        assert goldens is not None and goldens.wanted.empty() and not await stored(world)


async def test_a_build_that_fails_leaves_nothing_and_is_not_tried_again_at_once(
    world: World,
) -> None:
    class Mute(Born):
        async def start(self, spec: SandboxSpec) -> Handle:
            self.broken = spec.slug.startswith("rouse-g-")
            return await super().start(spec)

    driver = Mute()
    async with world.worker(driver=driver) as worker:
        await world.apply(template(snapshot=GOLDEN))
        await worker.woken(await world.create("c1"))
        goldens = worker.host.kit.goldens
        assert goldens is not None
        deadline = soon()
        while driver.counted("start rouse-g-") < 1 or list(worker.places.root.glob("copies/g-*")):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)
        goldens._absent.clear()
        await worker.woken(await world.create("c2"))
        while not goldens.wanted.empty():
            await asyncio.sleep(0.01)
        assert driver.counted("start rouse-g-") == 1 and not await stored(world)
