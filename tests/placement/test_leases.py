"""Leases against a real server: how they end, who may have one. Cluster: test_scripts."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement import keys
from placement.connect import connect
from placement.errors import LeaseHeld, RecordRefused, Unavailable
from placement.leases import Lease, Leases, boot_time
from placement.model import ActorId, Claimant, WorkerRecord
from placement.server import PrivateServer
from placement.table import Table

LEFT = WorkerRecord(
    worker="left",
    incarnation="a1",
    door="127.0.0.1:7001",
    rpc="unix:/run/left.sock",
    slots=4,
    free=4,
    runtimes=("process",),
    labels={"zone": "z1"},
)
NEXT = replace(LEFT, incarnation="a2")
ENOUGH_S = 30.0


@pytest.fixture
def leases(redis: Redis) -> Leases:
    return Leases(redis, ttl_s=ENOUGH_S, margin_s=0.0)


async def lapse(redis: Redis) -> None:
    """What the store's clock does when no renewal came."""
    await redis.delete(keys.lease_key(LEFT.worker))


async def test_registered_worker_is_listed_as_it_said(leases: Leases) -> None:
    await leases.register(LEFT)
    (listed,) = await leases.workers()
    assert replace(listed, heartbeat_ms=0) == LEFT and listed.heartbeat_ms > 0
    assert await leases.worker("left") == listed
    assert await leases.worker("right") is None


async def test_lease_is_counted_from_before_the_register_was_sent(leases: Leases) -> None:
    before = boot_time()
    lease = await leases.register(LEFT)
    assert before + ENOUGH_S <= lease.expires_at <= boot_time() + ENOUGH_S
    assert lease.is_valid(boot_time())


async def test_lease_that_ran_out_by_its_own_clock_is_over_for_good(leases: Leases) -> None:
    lease = await leases.register(LEFT)
    assert not lease.is_valid(lease.expires_at)
    assert not lease.is_valid(lease.expires_at - 1)


async def test_id_registers_again_only_when_its_old_lease_is_gone(
    leases: Leases, redis: Redis
) -> None:
    await leases.register(LEFT)
    with pytest.raises(LeaseHeld) as held:
        await leases.register(NEXT)
    assert (ENOUGH_S - 10) * 1000 < held.value.remaining_ms <= ENOUGH_S * 1000
    await lapse(redis)
    assert (await leases.register(NEXT)).incarnation == "a2"


async def test_register_whose_answer_was_lost_may_be_repeated(leases: Leases) -> None:
    await leases.register(LEFT)
    assert (await leases.register(LEFT)).is_valid(boot_time())


async def test_predecessor_known_to_be_dead_is_retired_at_once(leases: Leases) -> None:
    await leases.register(LEFT)
    assert not await leases.retire("left", "a0")
    assert await leases.retire("left", "a1")
    assert await leases.workers() == []
    await leases.register(NEXT)


async def test_lease_that_lapsed_in_the_store_is_never_renewed(
    leases: Leases, redis: Redis
) -> None:
    lease = await leases.register(LEFT)
    await lapse(redis)
    async with asyncio.timeout(ENOUGH_S):
        await lease.run(lambda: LEFT)
    assert not lease.is_valid(boot_time())
    assert await leases.holder("left") is None


async def test_lease_of_an_older_incarnation_does_not_renew_the_newer_ones(
    leases: Leases, redis: Redis
) -> None:
    old = await leases.register(LEFT)
    await lapse(redis)
    await leases.register(NEXT)
    await old.run(lambda: LEFT)
    assert await leases.holder("left") == "a2"


async def test_renewal_tells_the_present_record_and_moves_the_end(redis: Redis) -> None:
    leases = Leases(redis, ttl_s=0.6, margin_s=0.0)
    lease = await leases.register(LEFT)
    first_end, renewed = lease.expires_at, asyncio.Event()
    told = iter(range(3, -1, -1))

    def describe() -> WorkerRecord:
        if lease.expires_at > first_end:
            renewed.set()
        return replace(LEFT, free=next(told, 0))

    async with asyncio.timeout(ENOUGH_S), asyncio.TaskGroup() as group:
        running = group.create_task(lease.run(describe), name="lease")
        await renewed.wait()
        running.cancel()
    (listed,) = await leases.workers()
    assert listed.free < LEFT.free


async def test_p1_take_over_waits_until_the_lease_is_over(
    leases: Leases, redis: Redis, table: Table
) -> None:
    await leases.register(LEFT)
    actor = ActorId.of("demo", "c1")
    await table.create(actor, template="t")
    left = Claimant(worker="left", incarnation="a1", door="d")
    seen = (await table.claim(actor, left, budget_ms=60_000)).record
    assert seen is not None and seen.worker and seen.incarnation
    assert not await leases.is_over(seen.worker, seen.incarnation)
    await lapse(redis)
    assert await leases.is_over(seen.worker, seen.incarnation)
    right = Claimant(worker="right", incarnation="b1", door="d")
    assert (await table.take_over(seen, right, budget_ms=60_000)).is_done
    assert (await table.ready(seen.fence())).outcome == "stale"


async def test_margin_passes_before_a_lease_counts_as_over(redis: Redis) -> None:
    began = boot_time()
    assert await Leases(redis, ttl_s=1, margin_s=0.05).is_over("left", "a1")
    assert boot_time() - began >= 0.05


async def test_lease_outlives_redis_being_away_and_ends_by_its_clock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = PrivateServer(tmp_path)
    await server.start()
    client = connect(server.url)
    lease = await Leases(client, ttl_s=1.0, margin_s=0).register(LEFT)
    await server.stop()
    with caplog.at_level(logging.WARNING, "placement.leases"):
        async with asyncio.timeout(ENOUGH_S):
            await lease.run(lambda: LEFT)
    assert boot_time() >= lease.expires_at
    said = [record.message for record in caplog.records]
    assert said == ["lease cannot be renewed now", "lease is lost"]
    await client.aclose()


async def test_renewal_that_answers_after_the_end_revives_nothing(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path)
    await server.start()
    client = connect(server.url)
    leases = Leases(client, ttl_s=0.4, margin_s=0)
    lease = await leases.register(LEFT)
    control = connect(server.url)
    assert isinstance(control, Redis)
    # The server answers nobody until long after the end.
    await control.client_pause(900)
    async with asyncio.timeout(ENOUGH_S):
        await lease.run(lambda: LEFT)
    assert boot_time() >= lease.expires_at and not lease.is_valid(boot_time())
    await control.aclose()
    await client.aclose()
    await server.stop()


async def test_worker_list_forgets_who_is_long_gone_and_finds_who_is_back(
    leases: Leases, redis: Redis
) -> None:
    await leases.register(LEFT)
    await redis.flushall()
    await redis.execute_command("SADD", keys.WORKERS, "left", "ghost")  # type: ignore[no-untyped-call]
    assert await leases.workers() == []
    assert not await redis.exists(keys.WORKERS)
    await leases.register(LEFT)
    assert len(await leases.workers()) == 1


async def test_record_of_another_version_is_refused_by_name(leases: Leases, redis: Redis) -> None:
    await leases.register(LEFT)
    await redis.set(keys.worker_key("left"), b'{"worker": 7}')
    with pytest.raises(RecordRefused):
        await leases.workers()


async def test_register_says_when_redis_is_away(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unavailable):
        await Leases(client, ttl_s=1, margin_s=0).register(LEFT)
    await client.aclose()


async def test_repr_counts_what_is_left(leases: Leases) -> None:
    lease: Lease = await leases.register(LEFT)
    assert "s left" in repr(lease)
    lease.is_valid(lease.expires_at)
    assert "over" in repr(lease)


async def test_a_worker_is_remembered_beyond_its_lease_until_it_gives_it_back(
    leases: Leases, redis: Redis
) -> None:
    assert not await leases.is_remembered("left")
    await leases.register(LEFT)
    await lapse(redis)
    assert await leases.is_remembered("left") and await leases.worker("left") is None
    await leases.register(NEXT)
    await leases.retire("left", NEXT.incarnation)
    assert not await leases.is_remembered("left")
