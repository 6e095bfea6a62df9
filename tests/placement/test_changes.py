"""The change feed against a real server, and its messages. Cluster: test_scripts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement import keys
from placement.changes import ActorChanged, Change, Feed, Resync, TemplateChanged, parse
from placement.connect import connect
from placement.model import ActorId, ActorState, Claimant, InvalidName
from placement.server import PrivateServer
from placement.table import Table

C1 = ActorId.of("demo", "c1")
RIGHT = Claimant(worker="right", incarnation="b1", door="unix:/run/right door.sock")


@asynccontextmanager
async def hearing(redis: Redis) -> AsyncIterator[tuple[Feed, "asyncio.Queue[Change]"]]:
    feed = Feed(redis)
    heard: asyncio.Queue[Change] = asyncio.Queue()
    feed.listen(heard.put_nowait)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        assert await heard.get() == Resync()
        yield feed, heard
        running.cancel()


async def test_what_may_end_a_route_is_told_in_order_and_nothing_else(
    table: Table, redis: Redis
) -> None:
    async with hearing(redis) as (_, heard):
        made = await table.create(C1, template="t")
        owned = await table.claim(C1, RIGHT, budget_ms=60_000)
        assert made.record is not None and owned.record is not None
        ready = await table.ready(owned.record.fence())
        assert ready.record is not None
        taken = await table.take_over(ready.record, RIGHT, budget_ms=60_000)
        assert taken.record is not None
        await table.release(taken.record.fence(), reason="x", failed=False)
        await table.delete(C1, made.record.uid)
        told = [await heard.get() for _ in range(4)]
    assert all(isinstance(change, ActorChanged) and change.actor == C1 for change in told)
    assert [(c.state, c.epoch, c.door) for c in told if isinstance(c, ActorChanged)] == [
        (ActorState.SUSPENDED, 0, None),
        (ActorState.WAKING, 2, RIGHT.door),
        (ActorState.SUSPENDED, 2, None),
        (None, 2, None),
    ]


async def test_who_watches_hears_the_rest_with_the_door(table: Table, redis: Redis) -> None:
    async with redis.pubsub() as watching:
        await watching.subscribe(keys.PROGRESS)
        await table.create(C1, template="t")
        owned = await table.claim(C1, RIGHT, budget_ms=60_000)
        assert owned.record is not None
        ready = await table.ready(owned.record.fence())
        assert ready.record is not None
        await table.begin_suspend(ready.record.fence())
        told: list[Change] = []
        while len(told) < 3:
            message = await watching.get_message(ignore_subscribe_messages=True, timeout=5)
            if message is not None:
                told.append(parse(message["data"].decode()))
    assert [(c.state, c.epoch, c.door) for c in told if isinstance(c, ActorChanged)] == [
        (ActorState.WAKING, 1, RIGHT.door),
        (ActorState.RUNNING, 1, RIGHT.door),
        (ActorState.SUSPENDING, 1, RIGHT.door),
    ]


async def test_refused_operation_tells_nothing(table: Table, redis: Redis) -> None:
    await table.create(C1, template="t")
    async with hearing(redis) as (_, heard):
        await table.create(C1, template="t")
        await redis.publish(keys.CHANGES, "t a/b")
        assert await heard.get() == TemplateChanged(namespace="a", name="b")


async def test_message_of_a_newer_version_is_passed_over(redis: Redis) -> None:
    async with hearing(redis) as (_, heard):
        await redis.publish(keys.CHANGES, "z what is this")
        await redis.publish(keys.CHANGES, "a demo/c1 u 1 1 Q ")
        await redis.publish(keys.CHANGES, "t a/b")
        assert await heard.get() == TemplateChanged(namespace="a", name="b")


async def test_gap_is_told_as_resync_and_the_outage_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = PrivateServer(tmp_path)
    await server.start()
    client = connect(server.url)
    assert isinstance(client, Redis)
    with caplog.at_level(logging.INFO, "placement.changes"):
        async with hearing(client) as (_, heard):
            await server.stop()
            again = PrivateServer(tmp_path)
            await again.start()
            assert await heard.get() == Resync()
            await Table(client).create(C1, template="t")
            assert isinstance(await heard.get(), ActorChanged)
    said = [record.message for record in caplog.records]
    assert said in ([], ["change feed is away", "change feed is back"])
    await client.aclose()
    await again.stop()


async def test_feed_waits_for_a_server_that_is_not_there_yet(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = PrivateServer(tmp_path)
    client = connect(server.url)
    feed, away = Feed(client), asyncio.Event()

    class Seen(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            away.set()

    seen = Seen()
    logging.getLogger("placement.changes").addHandler(seen)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        running = group.create_task(feed.run(), name="feed")
        await away.wait()
        assert not feed.connected.is_set() and "away" in repr(feed)
        await server.start()
        await feed.connected.wait()
        assert "hears" in repr(feed)
        running.cancel()
    logging.getLogger("placement.changes").removeHandler(seen)
    assert [r.message for r in caplog.records if "away" in r.message] == ["change feed is away"]
    await client.aclose()
    await server.stop()


async def test_listener_that_left_hears_nothing_more(redis: Redis) -> None:
    async with hearing(redis) as (feed, heard):
        left: list[Change] = []
        leave = feed.listen(left.append)
        leave()
        await redis.publish(keys.CHANGES, "t a/b")
        await heard.get()
    assert left == []


@pytest.mark.parametrize("foreign", ["", "x", "a demo/c1", "a demo/c1 u x 1 S ", "a c1 u 1 1 S "])
def test_foreign_message_is_refused(foreign: str) -> None:
    with pytest.raises((ValueError, InvalidName)):
        parse(foreign)
