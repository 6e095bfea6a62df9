"""Sandboxes made in advance: who gets one, who makes one, and that none is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtimes.base import SandboxSpec
from runtimes.gvisor import Gvisor
from runtimes.stock import has_memory, move_in
from tests.contract.driver import Bench, until
from tests.contract.test_gvisor import WAKING


@asynccontextmanager
async def tended(bench: Bench) -> AsyncIterator[Gvisor]:
    assert isinstance(bench.driver, Gvisor)
    async with asyncio.TaskGroup() as group:
        tending = group.create_task(bench.driver.run(), name="stock")
        yield bench.driver
        tending.cancel()


def together(bench: Bench, **changes: object) -> SandboxSpec:
    """A copy beside others whose parent is hidden from all alike, as the worker's are."""
    spec = bench.spec(command=WAKING, **changes)
    return SandboxSpec(
        **{name: getattr(spec, name) for name in spec.__struct_fields__}
        | {"directory": bench.root / "driver" / "copies" / spec.uid / "run"}
    )


async def asleep(bench: Bench, spec: SandboxSpec) -> Path:
    """Started, counted once, and an image of it written."""
    handle = await bench.driver.start(spec)
    bench.begun.append(handle)
    await until(lambda: bench.try_get(handle))
    await bench.driver.freeze(handle)
    await bench.driver.checkpoint(handle, bench.root / "image")
    await bench.driver.stop(handle, 0)
    return bench.root / "image"


async def test_a_wake_takes_the_sandbox_that_stands_ready_and_another_is_made(
    gvisor: Bench,
) -> None:
    async with tended(gvisor) as driver:
        image = await asleep(gvisor, together(gvisor))
        for number in (2, 3):
            # Made after the image was: who went to sleep will be woken.
            await until(lambda: _ready(driver))
            standing = set(driver.seats.names())
            spec = together(gvisor)
            (spec.durable["/data"] / "mark").write_text(str(number))
            handle = await driver.restore(spec, image)
            gvisor.begun.append(handle)
            assert Path(handle.cgroup or "").name.rpartition("-")[2] in standing
            assert (await gvisor.tell(handle, "/"))["counted"] == 2
            await driver.stop(handle, 0)
            assert (spec.durable["/data"] / "mark").read_text() == str(number)
    assert driver.seats.names() == []


async def test_who_expects_one_waits_for_the_one_that_is_being_made(gvisor: Bench) -> None:
    async with tended(gvisor) as driver:
        image = await asleep(gvisor, together(gvisor))
        spec = together(gvisor)
        driver.expect(spec)
        handle = await driver.restore(spec, image)
        gvisor.begun.append(handle)
        assert (await gvisor.tell(handle, "/"))["counted"] == 2


async def test_a_ready_sandbox_that_died_is_not_given_out(gvisor: Bench) -> None:
    async with tended(gvisor) as driver:
        image = await asleep(gvisor, together(gvisor))
        await until(lambda: _ready(driver))
        for name in driver.seats.names():
            driver.seats.at(name).cgroup.kill()
        handle = await driver.restore(together(gvisor), image)
        gvisor.begun.append(handle)
        assert (await gvisor.tell(handle, "/"))["counted"] == 2


async def test_a_worker_without_such_actors_makes_nothing(gvisor: Bench) -> None:
    assert isinstance(gvisor.driver, Gvisor)
    assert await gvisor.driver.stock.fill() == 0
    assert gvisor.driver.seats.names() == []


async def test_a_sweep_spares_what_stands_ready_here_and_ends_what_another_left(
    gvisor: Bench,
) -> None:
    async with tended(gvisor) as driver:
        await asleep(gvisor, together(gvisor))
        await until(lambda: _ready(driver))
        standing = driver.seats.names()
        await driver.sweep(())
        assert driver.seats.names() == standing
        other = gvisor.make(gvisor.root / "driver")
        await other.sweep(())
        assert driver.seats.names() == []


async def _ready(driver: Gvisor) -> bool:
    return "1 boxes" in repr(driver.stock)


def test_files_move_in_under_the_names_that_lead_to_them(tmp_path: Path) -> None:
    files, place = tmp_path / "files", tmp_path / "place"
    (files / "sub").mkdir(parents=True)
    (files / "sub" / "file").write_text("kept")
    place.mkdir()
    inode = place.stat().st_ino
    move_in(files, place)
    assert files.stat().st_ino == inode and not place.exists()
    assert (files / "sub" / "file").read_text() == "kept"


def test_memory_is_looked_at() -> None:
    assert isinstance(has_memory(), bool)
