"""Running scripts: errors, replicas, clusters. What the scripts themselves promise: test_table."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot

from placement import keys
from placement.catalog import Catalog
from placement.changes import ActorChanged, Change, Feed
from placement.connect import connect
from placement.errors import TableUnavailable, Unavailable
from placement.leases import Leases
from placement.listing import Listing
from placement.model import ActorId, ActorRecord, Answer, Claimant, WorkerRecord
from placement.repeat import until_known
from placement.scripts import Scripts, source
from placement.table import Table
from tests.placement.nodes import Cluster, Move
from tests.placement.spawn import cluster, free_port, spawned, until

C1 = ActorId.of("demo", "c1")
LEFT = Claimant(worker="left", incarnation="a1", door="127.0.0.1:7001")


async def test_script_is_found_by_its_sha(redis: Redis) -> None:
    text, sha = source("create", "record")
    assert await redis.script_load(text) == sha


async def test_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    client = connect(f"unix://{tmp_path}/none.sock")
    with pytest.raises(Unavailable):
        await Scripts(client).run("index_page", ["rouse:n:{demo}"], ["", "1"])
    await client.aclose()


async def test_answer_counts_only_once_a_replica_has_it(tmp_path: Path) -> None:
    (tmp_path / "primary").mkdir()
    (tmp_path / "replica").mkdir()
    port = free_port()
    follow = ("--replicaof", f"127.0.0.1 {port}")
    async with (
        spawned(tmp_path / "primary", "--repl-diskless-sync-delay", "0", port=port) as (first, _),
        spawned(tmp_path / "replica", *follow) as (second, replica_pid),
    ):
        await until(lambda: first.wait(1, 10))
        table = Table(first, replicas=1)
        made = await table.create(C1, template="counter")
        assert made.is_done and await Table(second).read(C1) == made.record
        os.kill(replica_pid, signal.SIGSTOP)
        try:
            with pytest.raises(TableUnavailable) as unknown:
                await table.claim(C1, LEFT, budget_ms=60_000)
        finally:
            os.kill(replica_pid, signal.SIGCONT)
        again = await table.claim(C1, LEFT, budget_ms=60_000, call=unknown.value.call)
        assert again.is_done and again.record is not None and again.record.epoch == 1
        assert await Table(second).read(C1) == again.record


async def test_repeat_over_another_connection_waits_for_the_replica_too(redis: Redis) -> None:
    alone = Table(redis)
    await alone.create(C1, template="counter", call="call-1")
    fresh = redis.client()
    async with fresh:
        # No replica at all: WAIT answers 0 at once only if this connection wrote nothing.
        with pytest.raises(TableUnavailable, match="0 of 1 replicas"):
            await Table(fresh, replicas=1).create(C1, template="counter", call="call-1")


async def test_cluster_keeps_the_same_promises(tmp_path: Path) -> None:
    async with cluster(tmp_path) as url:
        client = connect(url)
        assert isinstance(client, RedisCluster)
        heard: asyncio.Queue[Change] = asyncio.Queue()
        feed = Feed(client)
        feed.listen(heard.put_nowait)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(feed.run(), name="feed")
            await feed.connected.wait()
            await _cycle(client)
            heard.get_nowait()  # the Resync at the begin
            change = await heard.get()
            assert isinstance(change, ActorChanged) and change.actor == C1
            running.cancel()
        with pytest.raises(TableUnavailable, match="0 of 1 replicas"):
            await Table(client, replicas=1).create(ActorId.of("demo", "c2"), template="t")
        await client.aclose()


async def _cycle(client: RedisCluster) -> None:
    table, leases = Table(client), Leases(client, ttl_s=30, margin_s=0)
    made = await table.create(C1, template="counter")
    assert made.is_done
    record = WorkerRecord(
        worker="left", incarnation="a1", door=LEFT.door, rpc="unix:/rpc", slots=2, free=2
    )
    await leases.register(record)
    assert [worker.worker for worker in await leases.workers()] == ["left"]
    owned = await table.claim(C1, LEFT, budget_ms=60_000)
    assert owned.is_done
    assert (await Listing(client).list(None))[0] == [owned.record]
    assert await Listing(client).repair() == 0
    assert await Catalog(client).put("demo", "counter", b"{}", "d1")
    assert len(await Catalog(client).list()) == 1


def in_one_slot(count: int) -> list[ActorId]:
    """Actors whose keys stand in the same slot as C1's."""
    slot = key_slot(keys.actor_key(C1).encode())
    names = (ActorId.of("demo", f"m{n}") for n in itertools.count())
    fitting = (a for a in names if key_slot(keys.actor_key(a).encode()) == slot)
    return [C1, *itertools.islice(fitting, count - 1)]


async def test_a_slot_that_moves_in_mid_run_loses_no_call_and_answers_each_once(
    nodes: Cluster,
) -> None:
    """Four actors of one slot go through their lives while the slot is moved to and fro, key by
    key."""
    nodes.flush()
    client = connect(nodes.url)
    table, over = Table(client), asyncio.Event()
    cycles, moves = dict.fromkeys(in_one_slot(4), 0), list[Move]()

    async def lives(actor: ActorId) -> None:
        async def known(
            operation: Callable[..., Awaitable[Answer]], *given: Any, **more: Any
        ) -> ActorRecord:
            """Any: whatever this operation takes."""
            answer = await until_known(
                lambda call: operation(*given, **more, call=call), deadline=loop.time() + 20
            )
            assert answer.is_done and answer.record is not None, answer
            return answer.record

        loop = asyncio.get_running_loop()
        await known(table.create, actor, template="t")
        while not over.is_set():
            cycles[actor] += 1
            owned = await known(table.claim, actor, LEFT, budget_ms=60_000)
            assert owned.epoch == cycles[actor], (actor, owned)
            ready = await known(table.ready, owned.fence())
            going = await known(table.begin_suspend, ready.fence())
            name = f"s{cycles[actor]}"
            slept = await known(table.commit_suspend, going.fence(), snapshot=name, active_ms=1)
            assert slept.snapshot == name

    def move() -> None:
        """Until each of them was in many states while it moved, or one of them failed."""
        while min(cycles.values()) < 60 and not over.is_set():
            it = nodes.begin_move(keys.actor_key(C1))
            it.open()
            for _ in range(4):
                it.carry_keys(1)
                time.sleep(0.02)
            it.close()
            moves.append(it)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for actor in cycles:
            group.create_task(lives(actor))
        try:
            await asyncio.to_thread(move)
        finally:
            over.set()
    assert len(moves) > 1
    await client.aclose()


async def test_a_lease_is_renewed_while_its_slot_moves(nodes: Cluster) -> None:
    """Its two keys are on two nodes for a moment: the renewal is tried again, not lost."""
    nodes.flush()
    client = connect(nodes.url)
    leases = Leases(client, ttl_s=30, margin_s=0)
    record = WorkerRecord(
        worker="left", incarnation="a1", door=LEFT.door, rpc="unix:/rpc", slots=2, free=2
    )
    await leases.register(record)
    it = nodes.begin_move(keys.lease_key("left"))
    await asyncio.to_thread(it.open)
    assert await leases.renew(record, "a1")  # all of it where it was
    await asyncio.to_thread(it.carry_keys, 1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        renewed = group.create_task(_renewed(leases, record))
        await asyncio.to_thread(time.sleep, 0.1)
        await asyncio.to_thread(it.close)
    assert renewed.result() and await leases.holder("left") == "a1"
    assert [worker.worker for worker in await leases.workers()] == ["left"]
    await client.aclose()


async def _renewed(leases: Leases, record: WorkerRecord) -> bool:
    while True:
        try:
            return await leases.renew(record, record.incarnation)
        except Unavailable:
            await asyncio.sleep(0.02)
