"""What a fork shares with its source is there for both, whatever is deleted, collected or breaks
off in between. The collector by itself: test_collect."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lifecycle.errors import LifecycleError, SnapshotRefused
from lifecycle.snapshots.collect import GRACE_S
from lifecycle.snapshots.vault import SAVE_LIMIT_S
from tests.contract.store import listed
from tests.lifecycle.snapshots.test_collect import Bench

STEPS = [f"{moment} create {part}" for part in ("/b/", "/m/") for moment in ("before", "after")]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.vault.close()


async def fork(bench: Bench, source: str, name: str, to: str) -> str:
    made = await bench.vault.fork("demo", source, name, to)
    bench.table[to] = [made]
    return made


async def passed(bench: Bench) -> None:
    """Time enough for all that is garbage to go, and what falls free by that."""
    start = bench.epoch * 100 * GRACE_S
    for number in range(9):
        await bench.collect(start + number * GRACE_S)
    bench.epoch += 1


async def test_a_fork_writes_no_contents_and_has_all_of_them(bench: Bench) -> None:
    source = await bench.save(1)
    packs = await listed(bench.store, "demo/u-1/p/")
    made = await fork(bench, "u-1", source.id, "u-2")
    assert await listed(bench.store, "demo/u-2/") == [f"demo/u-2/m/{made}"]
    assert await listed(bench.store, "demo/u-1/p/") == packs
    assert await bench.restores_id(made, 1, "u-2")


async def test_contents_that_travel_in_the_manifest_need_no_mark(bench: Bench) -> None:
    source = await bench.save_small()
    await fork(bench, "u-1", source.id, "u-2")
    assert await listed(bench.store, "demo/u-1/b/") == []


@pytest.mark.parametrize("is_collected_between", [False, True])
async def test_either_of_a_pair_lives_on_when_the_other_is_deleted(
    bench: Bench, is_collected_between: bool
) -> None:
    source = await bench.save(1)
    bench.table["u-1"] = [source.id]
    made = await fork(bench, "u-1", source.id, "u-2")
    twin = await fork(bench, "u-1", source.id, "u-3")
    if is_collected_between:
        await passed(bench)
    for gone in ("u-1", "u-3"):
        bench.table[gone] = None  # as of an actor that the table does not know
        await bench.vault.delete_actor("demo", gone)
        await passed(bench)
    assert await bench.restores_id(made, 1, "u-2")
    with pytest.raises(SnapshotRefused):
        await bench.restores_id(twin, 1, "u-3")
    await bench.vault.delete_actor("demo", "u-2")
    bench.table["u-2"] = None
    await passed(bench)
    assert await listed(bench.store, "") == []


async def test_a_forks_fork_outlives_both(bench: Bench) -> None:
    source = await bench.save(1)
    made = await fork(bench, "u-1", source.id, "u-2")
    last = await fork(bench, "u-2", made, "u-3")
    for gone in ("u-1", "u-2"):
        await bench.vault.delete_actor("demo", gone)
        bench.table[gone] = None
        await passed(bench)
    assert await bench.restores_id(last, 1, "u-3")


async def test_what_a_fork_saves_next_shares_with_its_source_and_is_kept(bench: Bench) -> None:
    source = await bench.save(1)
    bench.table["u-1"] = [source.id]
    made = await fork(bench, "u-1", source.id, "u-2")
    saved = await bench.save(1, made, uid="u-2")
    assert saved.objects == 1
    bench.table["u-2"] = [saved.id]
    bench.table["u-1"] = None
    await bench.vault.delete_actor("demo", "u-1")
    await passed(bench)
    assert await listed(bench.store, "demo/u-2/m/") == [f"demo/u-2/m/{saved.id}"]
    assert await bench.restores(saved, 1, "u-2")


async def test_a_parent_of_another_actor_is_shared_and_marked(bench: Bench) -> None:
    golden = await bench.save(1, uid="g-1")
    saved = await bench.save(1, f"g-1:{golden.id}", uid="u-1")
    assert saved.objects == 1
    bench.table["u-1"] = [saved.id]
    await passed(bench)  # nobody names the golden itself any more
    assert await listed(bench.store, "demo/g-1/m/") == []
    assert await bench.restores(saved, 1)


@pytest.mark.parametrize("step", STEPS)
async def test_a_fork_that_breaks_off_leaves_the_source_whole_and_no_object_for_ever(
    bench: Bench, step: str
) -> None:
    source = await bench.save(1)
    bench.table["u-1"] = [source.id]
    before = await listed(bench.store, "")
    bench.store.plan = [step]
    with pytest.raises(LifecycleError):
        await fork(bench, "u-1", source.id, "u-2")
    await bench.vault.delete_actor("demo", "u-2")  # as who asked for the fork does
    await passed(bench)
    assert await listed(bench.store, "") == before
    assert await bench.restores(source, 1)


async def test_a_source_deleted_before_its_fork_was_marked_is_missing_to_it(bench: Bench) -> None:
    source = await bench.save(1)
    bench.store.plan = ["hang create /b/"]

    async def refused() -> None:
        with pytest.raises(SnapshotRefused, match="missing"):
            await fork(bench, "u-1", source.id, "u-2")

    async with asyncio.TaskGroup() as group:
        group.create_task(refused())
        await bench.store.hung.wait()
        await bench.vault.delete_actor("demo", "u-1")
        bench.store.release()
    assert await listed(bench.store, "demo/u-2/") == []


async def test_a_fork_that_goes_by_a_delete_in_the_midst_has_its_packs(bench: Bench) -> None:
    source = await bench.save(1)
    bench.store.plan = ["hang remove /m/"]
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.vault.delete_actor("demo", "u-1"))
        await bench.store.hung.wait()
        made = await fork(bench, "u-1", source.id, "u-2")
        bench.store.release()
    bench.table["u-1"] = None
    await passed(bench)
    assert await bench.restores_id(made, 1, "u-2")


async def test_a_slow_fork_is_spared_until_its_manifest_is_there(bench: Bench) -> None:
    source = await bench.save(1)
    bench.store.plan = ["hang create /m/"]
    async with asyncio.TaskGroup() as group:
        forking = group.create_task(fork(bench, "u-1", source.id, "u-2"))
        await bench.store.hung.wait()
        await bench.vault.delete_actor("demo", "u-1")
        bench.table["u-1"] = None
        for now in (0, SAVE_LIMIT_S):
            await bench.collect(now)
        bench.store.release()
    await passed(bench)
    assert await bench.restores_id(forking.result(), 1, "u-2")
