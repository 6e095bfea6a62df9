"""Upkeep on the real table and store: what is removed, what is spared, who does it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from lifecycle.orphans import Sweep
from lifecycle.roster import Roster
from lifecycle.snapshots.collect import Collector
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.vault import SnapshotOwner, Vault
from lifecycle.upkeep import Upkeep
from placement.catalog import Catalog
from placement.leases import Leases
from placement.listing import Listing
from placement.model import ActorId, ActorState, Claimant, WorkerRecord
from placement.table import Table

if TYPE_CHECKING:
    from tests.fake_worker import FakeWorker

ME = Claimant(worker="w1", incarnation="i", door="unix:/d")
KEYS = Keys(b"k" * 32)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Site:
    def __init__(self, redis: Redis, table: Table, directory: Path) -> None:
        self.table = table
        self.directory = directory
        self.store = LocalStore(directory / "store")
        self.vault = Vault(self.store, KEYS, None)
        self.listing = Listing(redis)
        self.catalog = Catalog(redis)
        self.leases = Leases(redis, ttl_s=10, margin_s=1)
        self.clock = Clock()
        self.living: dict[str, FakeWorker] = {}
        self.upkeep = Upkeep(
            "w1",
            listing=self.listing,
            roster=Roster(self.leases),
            collector=Collector(self.store, KEYS, grace_s=100),
            catalog=self.catalog,
            sweep=Sweep(table, self.leases, lambda record: self.living[record.worker]),
            clock=self.clock,
        )

    async def suspended(self, name: str, turns: int) -> ActorId:
        """An actor with that many suspends behind it."""
        actor = ActorId.of("demo", name)
        made = await self.table.create(actor, template="t")
        assert made.record is not None
        files = self.directory / name
        files.mkdir()
        for turn in range(turns):
            claimed = await self.table.claim(actor, ME, budget_ms=60_000)
            assert claimed.record is not None
            ready = await self.table.ready(claimed.record.fence())
            assert ready.record is not None
            begun = await self.table.begin_suspend(ready.record.fence())
            assert begun.record is not None
            (files / "n").write_bytes(bytes([turn]) * 200_000)
            owner = SnapshotOwner(actor=actor, uid=made.record.uid, epoch=begun.record.epoch)
            saved = await self.vault.save(owner, {"/data": files}, parent=begun.record.snapshot)
            done = await self.table.commit_suspend(
                begun.record.fence(), snapshot=saved.id, active_ms=1
            )
            assert done.is_done
        return actor

    async def look(self, at: float) -> int:
        self.clock.now = at
        return (await self.upkeep.once()).removed

    async def keys(self) -> set[str]:
        return {key async for key in self.store.keys("")}


@pytest.fixture
async def site(redis: Redis, table: Table, tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(redis, table, tmp_path)
    yield made
    await made.vault.close()


async def test_r14_old_snapshots_go_after_the_grace_and_the_newest_stays(site: Site) -> None:
    actor = await site.suspended("c1", turns=3)
    before = await site.keys()
    assert await site.look(at=0) == 0 and await site.look(at=99) == 0
    assert await site.look(at=101) > 0
    assert len(await site.keys()) < len(before)
    record = await site.table.read(actor)
    assert record is not None and record.snapshot is not None
    into = site.directory / "again"
    await site.vault.restore("demo", record.uid, record.snapshot, {"/data": into})
    assert (into / "n").read_bytes() == bytes([2]) * 200_000


async def test_an_empty_table_costs_no_snapshot(site: Site, redis: Redis) -> None:
    await site.suspended("c1", turns=2)
    before = await site.keys()
    await redis.flushall()
    assert await site.look(at=0) == 0 and await site.look(at=1_000) == 0
    assert await site.keys() == before


async def test_a_name_missing_in_the_index_is_listed_again(site: Site) -> None:
    actor = await site.suspended("c1", turns=0)
    await site.listing._scripts.run("index_remove", ["rouse:n:{demo}"], ["c1"])
    assert (await site.listing.list("demo"))[0] == []
    await site.look(at=0)
    assert [record.actor for record in (await site.listing.list("demo"))[0]] == [actor]


async def test_an_actor_of_a_worker_that_never_came_back_is_listed_as_what_it_is(
    site: Site,
) -> None:
    actor = await site.suspended("c1", turns=1)
    claimed = await site.table.claim(actor, ME, budget_ms=60_000)
    assert claimed.record is not None and claimed.record.is_owned
    await site.look(at=0)
    (record,), _ = await site.listing.list("demo")
    assert record.state is ActorState.SUSPENDED and record.reason == "worker w1 was lost"
    assert record.snapshot is not None and record.epoch == claimed.record.epoch + 1


async def test_one_worker_does_it(site: Site) -> None:
    roster = Roster(site.leases)
    for name in ("w1", "w2"):
        record = WorkerRecord(worker=name, incarnation=name, door="d", rpc="r", slots=1, free=1)
        await site.leases.register(record)
    await roster.refresh()
    mine = [
        Upkeep(
            name,
            listing=site.listing,
            roster=roster,
            collector=site.upkeep._collector,
            catalog=site.catalog,
            sweep=site.upkeep._sweep,
        )
        for name in ("w1", "w2")
    ]
    assert [each.is_mine() for each in mine] == [True, False]


async def test_a_golden_goes_when_its_template_is_another_one(site: Site) -> None:
    digest = "a" * 64
    await site.catalog.put("demo", "t", b"{}", digest)
    uid = f"g-{digest[:24]}-{'b' * 16}"
    files = site.directory / "golden"
    files.mkdir()
    owner = SnapshotOwner(actor=ActorId("demo", "golden"), uid=uid, epoch=0)
    await site.vault.save(owner, {"/data": files}, parent=None)
    for at in (0, 1000):
        await site.look(at=at)
    assert len(await site.vault.snapshots("demo", uid)) == 1
    await site.catalog.put("demo", "t", b"{}", "c" * 64)
    for at in (2000, 2100):
        await site.look(at=at)
    assert await site.vault.snapshots("demo", uid) == []
