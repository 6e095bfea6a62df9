"""Goldens as a worker uses them. How they are built: test_building. With gVisor: tests/system."""

from pathlib import Path

import pytest

from lifecycle.documents import parse_template
from lifecycle.host.golden import is_needed, uid_of
from lifecycle.host.places import IMAGE
from lifecycle.templates import Template
from tests.lifecycle.host.fakes import World, template
from tests.lifecycle.host.test_building import Born, born, built, golden_of

TERMS = {"version": ("1",)}


def parsed(**spec: object) -> Template:
    return parse_template(template(**spec)).template


def test_another_revision_runtime_or_machine_is_another_golden() -> None:
    one = parsed()
    names = {
        uid_of(one, "gvisor", TERMS),
        uid_of(one, "process", TERMS),
        uid_of(one, "gvisor", {"version": ("2",)}),
        uid_of(parsed(command=["false"]), "gvisor", TERMS),
    }
    assert len(names) == 4
    assert uid_of(parsed(), "gvisor", dict(TERMS)) in names


def test_a_golden_is_needed_as_long_as_its_template_is_as_it_was() -> None:
    one = parsed()
    uid = uid_of(one, "gvisor", TERMS)
    assert is_needed("demo", uid, {"demo": {one.digest}}) is True
    assert is_needed("other", uid, {"demo": {one.digest}}) is False
    assert is_needed("demo", uid, {"demo": {parsed(command=["false"]).digest}}) is False
    assert is_needed("demo", "0123456789abcdef", {}) is None


async def test_what_was_pushed_out_is_fetched_again(world: World) -> None:
    async with world.worker(driver=Born()) as worker:
        await built(world, worker)
        goldens = worker.host.kit.goldens
        assert goldens is not None
        for path in (worker.places.root / "golden").glob("*/*"):
            for each in path.rglob("*"):
                if each.is_file():
                    each.unlink()
            _removed(path)
        actor = await world.create("c9")
        await worker.woken(actor)
        assert (worker.data(actor) / "born").read_text() == await golden_of(world, worker)


async def test_it_is_bounded_in_bytes_and_the_newest_stays(world: World) -> None:
    async with world.worker(driver=Born()) as worker:
        goldens = worker.host.kit.goldens
        assert goldens is not None
        for number in range(5):
            place = goldens.new_place()
            (place / IMAGE).mkdir(parents=True)
            goldens.keep("demo", f"g-{number}", "0-x", place, 4_000_000)
        kept = list((worker.places.root / "golden").glob("*/*"))
        assert len(kept) == 2 and goldens.bytes == 8_000_000


@pytest.mark.parametrize("how", ["refused", "gone"])
async def test_a_golden_that_cannot_be_used_costs_only_time(world: World, how: str) -> None:
    driver = Born()
    async with world.worker(driver=driver) as worker:
        await built(world, worker)
        driver.refuses = how == "refused"
        if how == "gone":
            for path in (world.directory / "store").rglob("g-*/m/*"):
                path.unlink()
            goldens = worker.host.kit.goldens
            assert goldens is not None
            for key in list(goldens._known):
                goldens.drop(key)
        actor = await world.create("c9")
        await worker.woken(actor)
        assert born(worker, actor)


def _removed(path: Path) -> None:
    for each in sorted(path.rglob("*"), reverse=True):
        each.rmdir()
    path.rmdir()
