"""Histories: when a claim may be trusted again. With real failovers: tests/races/test_forgotten."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement.connect import connect
from placement.histories import have_all_looked
from placement.leases import Leases
from placement.model import ActorId, Claimant
from placement.table import Table
from tests.placement.spawn import cluster
from tests.placement.test_leases import LEFT

C1 = ActorId.of("demo", "c1")
RIGHT = replace(LEFT, worker="right", incarnation="b1")


def test_a_history_is_settled_by_every_worker_that_lives() -> None:
    one, two = replace(LEFT, histories=("h1", "h2")), replace(RIGHT, histories=("h1",))
    assert have_all_looked("h1", (one, two)) and not have_all_looked("h2", (one, two))
    assert have_all_looked("h2", ())


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, ttl_s=30.0, margin_s=0.1)


async def test_an_owners_answer_tells_the_history_that_the_server_tells(
    redis: Redis, leases: Leases
) -> None:
    table, me = Table(redis), Claimant(worker="left", incarnation="a1", door="d:1")
    (history,) = await leases.histories.now()
    await table.create(C1, template="t")
    claimed = await table.claim(C1, me, budget_ms=60_000, call="call-1")
    again = await table.claim(C1, me, budget_ms=60_000, call="call-1")
    assert claimed.record is not None and claimed.history == again.history == history
    taken = await table.take_over(claimed.record, me, budget_ms=60_000)
    assert taken.history == history
    assert taken.record is not None
    assert (await table.ready(taken.record.fence())).history == history


async def test_a_claim_waits_until_every_worker_has_looked(leases: Leases) -> None:
    (history,) = await leases.histories.now()
    looked = replace(LEFT, histories=(history,))
    await leases.register(looked)
    await leases.register(RIGHT)
    async with asyncio.TaskGroup() as group:
        settling = group.create_task(leases.histories.settle(history))
        done, _ = await asyncio.wait([settling], timeout=0.3)
        assert not done and not leases.histories.is_settled(history)
        await leases.renew(replace(RIGHT, histories=(history,)), "b1")
    assert leases.histories.is_settled(history)
    await leases.renew(RIGHT, "b1")
    await leases.histories.settle(history)  # once settled it stays so


async def test_a_worker_that_never_looks_is_waited_for_no_longer_than_its_lease(
    redis: Redis,
) -> None:
    leases = Leases(redis, ttl_s=30.0, margin_s=0.0)
    await leases.register(LEFT)
    leases.ttl_s = 0.2
    await leases.histories.settle("never seen")
    assert leases.histories.is_settled("never seen")


async def test_a_server_that_tells_no_history_is_taken_as_it_is(leases: Leases) -> None:
    await leases.register(LEFT)
    await leases.histories.settle("")


async def test_a_cluster_has_a_history_for_each_primary(tmp_path: Path) -> None:
    async with cluster(tmp_path) as url:
        client = connect(url)
        leases = Leases(client, ttl_s=30.0, margin_s=0.0)
        (history,) = await leases.histories.now()
        table = Table(client)
        await table.create(C1, template="t")
        me = Claimant(worker="left", incarnation="a1", door="d:1")
        assert (await table.claim(C1, me, budget_ms=1000)).history == history
        await client.aclose()


async def test_a_user_that_may_not_ask_for_it_is_told_no_history(redis: Redis) -> None:
    await redis.acl_setuser(
        "quiet", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-info"]
    )
    kwargs = redis.connection_pool.connection_kwargs
    client = connect(f"unix://quiet@{kwargs['path']}?password=any")
    try:
        leases = Leases(client, ttl_s=30.0, margin_s=0.0)
        assert await leases.histories.now() == ()
        table = Table(client)
        await table.create(C1, template="t")
        me = Claimant(worker="left", incarnation="a1", door="d:1")
        assert (await table.claim(C1, me, budget_ms=1000)).history == ""
    finally:
        await client.aclose()
        await redis.acl_deluser("quiet")
