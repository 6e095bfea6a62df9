"""The collector removes garbage when its grace is over, and never what anybody may still need."""

import random
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from lifecycle.snapshots.base import StoreUnavailable
from lifecycle.snapshots.collect import GRACE_S, Collected, Collector
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.names import Home
from lifecycle.snapshots.vault import SAVE_LIMIT_S, Saved, SnapshotOwner, Vault
from placement.model import ActorId
from tests.contract.store import listed
from tests.lifecycle.snapshots.failing import FailingStore
from tests.lifecycle.snapshots.trees import facts, plant

KEYS = Keys(bytes(32))


def noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(600_000)


class Bench:
    """A vault, a collector, and a table that names what is live."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.store = FailingStore(LocalStore(where / "store"))
        self.vault = Vault(self.store, KEYS, None)
        self.collector = Collector(self.store, KEYS)
        self.table: dict[str, Collection[str] | None] = {}
        self.epoch = 0

    async def live(self, namespace: str, uid: str) -> Collection[str] | None:
        return self.table.get(uid, ())

    async def save(self, seed: int, parent: str | None = None, uid: str = "u-1") -> Saved:
        self.epoch += 1
        root = plant(self.where / uid, {"big": noise(seed)})
        owner = SnapshotOwner(actor=ActorId("demo", "c1"), uid=uid, epoch=self.epoch)
        return await self.vault.save(owner, {"/data": root}, parent=parent)

    async def collect(self, now: float, prefix: str = "") -> Collected:
        return await self.collector.collect(prefix, self.live, now)

    async def save_small(self) -> Saved:
        root = plant(self.where / "small", {"n": b"7"})
        owner = SnapshotOwner(actor=ActorId("demo", "c1"), uid="u-1", epoch=1)
        return await self.vault.save(owner, {"/data": root}, parent=None)

    async def restores(self, saved: Saved, seed: int, uid: str = "u-1") -> bool:
        return await self.restores_id(saved.id, seed, uid)

    async def restores_id(self, name: str, seed: int, uid: str) -> bool:
        out = self.where / f"out-{uid}-{name}"
        await self.vault.restore("demo", uid, name, {"/data": out})
        return facts(out)["big"][3] == noise(seed)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.vault.close()


def test_a_grace_outlasts_every_save() -> None:
    assert GRACE_S >= 2 * SAVE_LIMIT_S


async def test_garbage_goes_after_its_grace_and_the_live_one_stays(bench: Bench) -> None:
    old = await bench.save(1)
    new = await bench.save(2, old.id)
    bench.table["u-1"] = [new.id]
    assert await bench.collect(0) == Collected(removed=0, waiting=1, spared=0)
    assert (await bench.collect(GRACE_S - 1)).removed == 0
    assert (await bench.collect(GRACE_S)).removed == 1  # the manifest
    assert (await bench.collect(GRACE_S + 1)).waiting == 1  # its pack, free from now on
    assert (await bench.collect(3 * GRACE_S)).removed == 1
    assert await listed(bench.store, "") == sorted(
        [Home("demo", "u-1").manifest(new.id), *await listed(bench.store, "demo/u-1/p/")]
    )
    assert await bench.restores(new, 2)


async def test_a_pack_that_a_child_names_outlives_its_parent(bench: Bench) -> None:
    old = await bench.save(1)
    new = await bench.save(1, old.id)
    assert new.objects == 1
    bench.table["u-1"] = [new.id]
    for now in (0, GRACE_S, 2 * GRACE_S, 3 * GRACE_S):
        await bench.collect(now)
    assert await listed(bench.store, "demo/u-1/m/") == [f"demo/u-1/m/{new.id}"]
    assert await bench.restores(new, 1)


async def test_what_is_being_written_is_spared(bench: Bench) -> None:
    """Pack written, manifest still to come: the longest save there may be."""
    bench.store.plan = ["before create /m/"]
    with pytest.raises(Exception, match="failed"):
        await bench.save(1)
    assert (await bench.collect(0)).waiting == 1
    assert (await bench.collect(SAVE_LIMIT_S)).removed == 0
    assert len(await listed(bench.store, "demo/u-1/p/")) == 1


async def test_a_snapshot_promoted_during_the_look_is_not_taken_for_garbage(bench: Bench) -> None:
    old = await bench.save(1)
    bench.table["u-1"] = [old.id]
    await bench.collect(0)

    async def promote_meanwhile(namespace: str, uid: str) -> Collection[str]:
        return [(await bench.save(2, old.id)).id]

    answer = await bench.collector.collect("", promote_meanwhile, 2 * GRACE_S)
    assert (answer.removed, answer.spared) == (0, 1)


async def test_garbage_that_is_needed_again_begins_a_new_grace(bench: Bench) -> None:
    old, new = await bench.save(1), await bench.save(2)
    bench.table["u-1"] = [new.id]
    await bench.collect(0)
    bench.table["u-1"] = [old.id, new.id]
    await bench.collect(GRACE_S - 1)
    bench.table["u-1"] = [new.id]
    assert (await bench.collect(GRACE_S + 1)).removed == 0


async def test_an_actor_nobody_can_tell_about_is_left_alone(bench: Bench) -> None:
    saved = await bench.save(1)
    bench.table["u-1"] = None
    for now in (0, 10 * GRACE_S):
        assert await bench.collect(now) == Collected(removed=0, waiting=0, spared=1)
    assert await bench.restores(saved, 1)


async def test_a_live_snapshot_that_is_missing_or_damaged_stops_collecting_its_actor(
    bench: Bench,
) -> None:
    old, new = await bench.save(1), await bench.save(2)
    bench.table["u-1"] = [new.id]
    path = bench.where / "store" / Home("demo", "u-1").manifest(new.id)
    good = path.read_bytes()
    for bad in (good[:-1], None):
        path.unlink() if bad is None else path.write_bytes(bad)
        for now in (0, 10 * GRACE_S):
            assert await bench.collect(now) == Collected(removed=0, waiting=0, spared=1)
    path.write_bytes(good)
    assert await bench.restores(old, 1) and await bench.restores(new, 2)


async def test_actors_without_a_record_and_strangers_objects_are_told_apart(bench: Bench) -> None:
    await bench.save(1)
    kept = await bench.save(2, uid="u-2")
    bench.table["u-2"] = [kept.id]
    await bench.store.create("readme/of/the/operator", b"not ours")
    for now in (0, GRACE_S, GRACE_S + 1, 3 * GRACE_S):
        await bench.collect(now)
    assert await listed(bench.store, "demo/u-1/") == []
    assert await bench.restores(kept, 2, "u-2")
    assert await bench.store.read("readme/of/the/operator") == b"not ours"


async def test_one_actor_can_be_looked_at_without_the_others(bench: Bench) -> None:
    await bench.save(1)
    await bench.save(2, uid="u-2")
    for now in (0, GRACE_S, GRACE_S + 1, 3 * GRACE_S):
        await bench.collect(now, "demo/u-1/")
    assert await listed(bench.store, "demo/u-1/") == []
    assert len(await listed(bench.store, "demo/u-2/")) == 2


async def test_interrupted_between_two_removals_it_goes_on_later(bench: Bench) -> None:
    await bench.save(1)
    bench.table["u-1"] = ()
    await bench.collect(0)
    bench.store.plan = ["before remove"]
    with pytest.raises(StoreUnavailable):
        await bench.collect(GRACE_S)
    assert (await bench.collect(GRACE_S + 1)).removed == 1
