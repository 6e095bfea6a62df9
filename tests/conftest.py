"""What every test may stand on: a real server for the table, and no error that nobody saw."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from gateway.ingress import exchange
from lifecycle.rebuilding import EPOCHS_ON
from placement import keys, wire
from placement.changes import ActorChanged, parse
from placement.connect import connect
from placement.listing import Listing
from placement.model import ActorState
from placement.server import PrivateServer
from placement.table import Table
from tests.objectstore import S3Server, serving


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--compiled", action="store_true", help="fail unless the relay is the compiled one"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--compiled") and exchange.__file__.endswith(".py"):
        raise pytest.UsageError(f"not compiled: {exchange.__file__} (make test-compiled)")


@pytest_asyncio.fixture(autouse=True)
async def no_unseen_errors() -> AsyncIterator[None]:
    """A callback or a task whose error nobody took fails the test it happened in."""
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    yield
    assert not unseen, unseen


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_server() -> AsyncIterator[PrivateServer]:
    with tempfile.TemporaryDirectory(prefix="rouse-test-") as directory:
        server = PrivateServer(Path(directory))
        await server.start()
        yield server
        await server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """URL and process of a real S3 server, one for the whole run: it takes seconds to start."""
    with serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
async def redis(redis_server: PrivateServer) -> AsyncIterator[Redis]:
    """A client of an empty server."""
    client = connect(redis_server.url)
    assert isinstance(client, Redis)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def table(redis: Redis) -> AsyncIterator[Table]:
    """The real table; afterwards its whole history and every record in it must make sense."""
    async with redis.pubsub() as history:
        await history.subscribe(keys.CHANGES, keys.PROGRESS)
        yield Table(redis)
        await redis.publish(keys.CHANGES, "end")
        await _check_history(history)
    await _check_records(redis)


async def _check_history(history: Any) -> None:  # Any: redis-py types no PubSub messages
    """Epochs never fall and every transition is newer than the one before."""
    newest: dict[str, ActorChanged] = {}
    while True:
        message = await history.get_message(ignore_subscribe_messages=True, timeout=5)
        if message is None:
            continue
        if message["data"] == b"end":
            return
        change = parse(message["data"].decode())
        if not isinstance(change, ActorChanged):
            continue
        before = newest.get(change.uid)
        if before is not None:
            assert before.state is not None, f"{change} after it was deleted"
        if before is not None and change.epoch < before.epoch + EPOCHS_ON // 2:  # else rebuilt
            assert change.epoch - before.epoch in (0, 1), (before, change)
            # A policy is told at the same revision; a transition is one more.
            assert change.revision - before.revision in (0, 1), (before, change)
            assert change.revision > before.revision or change.state is before.state
        newest[change.uid] = change


async def _check_records(redis: Redis) -> None:
    """An owner exactly while owned, a deadline while waking, a back-off while failed; each actor
    in the index and nobody else."""
    recorded = []
    async for key in redis.scan_iter(match=keys.ACTOR_PATTERN, count=1000):
        actor = keys.actor_of(key.decode())
        packed: Any = await redis.get(key)
        record = wire.decode(actor, packed)
        if record is None:
            continue
        recorded.append(actor)
        for owned_only in (record.incarnation, record.door):
            assert (owned_only is not None) == record.is_owned, record
        assert (record.deadline_ms is not None) == (record.state is ActorState.WAKING), record
        assert (record.retry_at_ms is not None) == (record.state is ActorState.FAILED), record
        assert record.revision > record.epoch >= 0, record
    listed, cursor = await Listing(redis).list(None, limit=1000)
    if cursor is None:
        assert [record.actor for record in listed] == sorted(recorded)
