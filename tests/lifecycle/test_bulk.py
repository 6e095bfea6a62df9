"""Many at once: each ends for itself. What one create or delete does is test_actions'."""

import pytest
from redis.asyncio import Redis

from lifecycle import bulk
from lifecycle.bulk import Ended
from placement.model import ActorId
from placement.table import Table
from tests.fake_worker import FakeFleet


@pytest.fixture
async def fleet(redis: Redis, table: Table) -> FakeFleet:
    return FakeFleet(redis=redis, table=table)


def named(*names: str) -> list[ActorId]:
    return [ActorId("demo", name) for name in names]


async def test_a_thousand_are_made_and_a_second_call_finds_them(fleet: FakeFleet) -> None:
    await fleet.actor("seed")
    actors = named(*(f"a{n}" for n in range(bulk.MOST)))
    made = await bulk.create(fleet.actions, actors, "counter")
    assert made == [Ended(actor=actor, result="created") for actor in actors]
    again = await bulk.create(fleet.actions, [*actors[:3], ActorId("demo", "new")], "counter")
    assert [each.result for each in again] == ["exists", "exists", "exists", "created"]
    gone = await bulk.delete(fleet.actions, actors)
    assert {each.result for each in gone} == {"deleted"}


async def test_one_that_fails_stops_none_of_the_others(fleet: FakeFleet) -> None:
    await fleet.actor("b")
    made = await bulk.create(fleet.actions, named("a", "b"), "none")
    assert [each.result for each in made] == ["failed", "failed"]
    assert made[0].message == "there is no template demo/none"
    gone = await bulk.delete(fleet.actions, named("a", "b"))
    assert gone == [
        Ended(actor=ActorId("demo", "a"), result="absent"),
        Ended(actor=ActorId("demo", "b"), result="deleted"),
    ]
