"""What every role stands on: keys that open one door each, and the near way to one's own worker."""

import asyncio
from dataclasses import astuple
from pathlib import Path

from redis.asyncio import Redis

from gateway.settings import load
from gateway.wiring.backbone import Keys, backbone
from lifecycle.rpc.client import FarWorker
from placement.model import WorkerRecord
from placement.server import PrivateServer
from tests.lifecycle.host.fakes import World, template

SHARED = "correct-horse-battery-staple"


def record(worker: str) -> WorkerRecord:
    return WorkerRecord(
        worker=worker, incarnation="i", door="unix:/d", rpc="127.0.0.1:1", slots=1, free=1
    )


def test_each_hop_has_a_key_of_its_own_that_tells_nothing_of_the_shared_one() -> None:
    keys = Keys.of(SHARED)
    assert keys.admin == SHARED
    derived = [keys.rpc, keys.door, keys.actors, keys.callers, keys.authority]
    assert len({SHARED, *derived}) == 6
    assert all(key is not None and SHARED not in key and len(key) == 64 for key in derived)


def test_every_process_derives_the_same_keys_from_one_shared_key() -> None:
    assert Keys.of(SHARED) == Keys.of(SHARED)
    other = Keys.of(SHARED + "!")
    assert other.rpc != Keys.of(SHARED).rpc and other.door != Keys.of(SHARED).door


def test_p7_no_key_is_in_a_repr_that_a_log_might_take() -> None:
    keys = Keys.of(SHARED)
    assert not any(str(value) in repr(keys) for value in astuple(keys))


def test_without_a_shared_key_there_is_none_at_all() -> None:
    assert set(astuple(Keys.of(None))) == {None}


async def test_ones_own_worker_is_asked_without_a_detour(
    redis_server: PrivateServer, world: World, tmp_path: Path
) -> None:
    settings = load("up", None, {"ROUSE_DATA_DIR": str(tmp_path)}, {})
    async with (
        world.worker("w1") as worker,
        backbone(settings, redis_server.url, Keys.of(None)) as spine,
    ):
        assert isinstance(spine.worker_at(record("w1")), FarWorker)
        spine.host = worker.host
        assert spine.worker_at(record("w1")) is worker.host
        assert isinstance(spine.worker_at(record("w2")), FarWorker)


async def test_word_of_a_template_reaches_the_cache(
    redis_server: PrivateServer, redis: Redis, world: World, tmp_path: Path
) -> None:
    settings = load("up", None, {"ROUSE_DATA_DIR": str(tmp_path)}, {})
    async with backbone(settings, redis_server.url, Keys.of(None)) as spine:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(run(), name=name) for name, run in spine.parts()]
            await spine.feed.connected.wait()
            before = await spine.templates.get("demo", "counter")
            assert before is not None and before.wake_queue != 7
            await world.apply(template(wake={"queue": 7}))
            while (found := await spine.templates.get("demo", "counter")) == before:
                await asyncio.sleep(0.01)
            assert found is not None and found.wake_queue == 7
            for task in running:
                task.cancel()
