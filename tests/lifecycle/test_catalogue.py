"""Templates from memory: how long they hold, what drops them, what an away table leaves in use."""

import pytest

from lifecycle.catalogue import FRESH_S, KnownTemplates
from lifecycle.errors import DependencyAway
from placement.catalog import Catalog
from placement.connect import connect
from tests.lifecycle.host.fakes import World, template


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def queue_of(known: KnownTemplates) -> int:
    found = await known.get("demo", "counter")
    assert found is not None
    return found.wake_queue


async def test_a_template_is_read_once_and_anew_after_a_while(world: World) -> None:
    clock = Clock()
    known = KnownTemplates(world.catalog, clock=clock)
    before = await queue_of(known)
    await world.apply(template(wake={"queue": 7}))
    clock.now += FRESH_S - 0.1
    assert await queue_of(known) == before != 7
    clock.now += 0.2
    assert await queue_of(known) == 7


async def test_word_of_a_change_drops_that_namespace_and_no_other(world: World) -> None:
    known = KnownTemplates(world.catalog, clock=Clock())
    before = await queue_of(known)
    await world.apply(template(wake={"queue": 7}))
    known.forget("elsewhere")
    assert await queue_of(known) == before
    known.forget("demo")
    assert await queue_of(known) == 7
    await world.apply(template(wake={"queue": 8}))
    known.forget()
    assert await queue_of(known) == 8


async def test_that_there_is_none_is_known_too_until_it_is_heard_of(world: World) -> None:
    await world.catalog.delete("demo", "counter")
    known = KnownTemplates(world.catalog, clock=Clock())
    assert await known.get("demo", "counter") is None
    assert await known.creator("demo") is None
    await world.apply(template())
    assert await known.get("demo", "counter") is None
    known.forget("demo")
    found, creator = await known.get("demo", "counter"), await known.creator("demo")
    assert found is not None and creator is not None and creator.name == "counter"


async def test_only_a_template_that_says_so_makes_actors(world: World) -> None:
    known = KnownTemplates(world.catalog, clock=Clock())
    assert await known.creator("demo") is not None
    await world.apply(template(create={"onRequest": False}))
    assert await known.creator("demo") is not None  # from memory
    known.forget("demo")
    assert await known.creator("demo") is None


async def test_while_the_table_is_away_the_old_one_stays_in_use(world: World) -> None:
    clock = Clock()
    known = KnownTemplates(world.catalog, clock=clock)
    before = await queue_of(known)
    nowhere = connect(f"unix://{world.directory}/nowhere.sock")
    known._catalog = Catalog(nowhere)
    clock.now += 10 * FRESH_S
    assert await queue_of(known) == before
    with pytest.raises(DependencyAway, match="demo/other cannot be read"):
        await known.get("demo", "other")
    with pytest.raises(DependencyAway, match="templates of demo cannot be read"):
        await known.creator("demo")
    await nowhere.aclose()


async def test_a_document_of_another_version_is_refused_by_name(world: World) -> None:
    await world.catalog.put("demo", "counter", b'{"kind":"ActorTemplate","spec":{"warp":9}}', "d")
    known = KnownTemplates(world.catalog, clock=Clock())
    with pytest.raises(DependencyAway, match="demo/counter was stored by another version"):
        await known.get("demo", "counter")
    with pytest.raises(DependencyAway, match="demo/counter was stored by another version"):
        await known.creator("demo")
