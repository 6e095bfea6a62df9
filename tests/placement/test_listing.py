"""The index: its order, its pages, its repair. That the table keeps it up: conftest's `table`."""

import random
from base64 import b32encode
from typing import Any

import msgspec
from redis.asyncio import Redis, RedisCluster

from placement import keys
from placement.listing import Listing
from placement.model import ActorId
from placement.scripts import Scripts
from placement.table import Table
from placement.wire import pack_snapshot


async def names(listing: Listing, namespace: str | None, limit: int) -> list[str]:
    """All names, page by page; no page is longer than asked."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await listing.list(namespace, cursor=cursor, limit=limit)
        assert len(page) <= limit
        found += [str(record.actor) for record in page]
        if cursor is None:
            return found


async def test_pages_hold_every_actor_once_in_order_of_name(table: Table, redis: Redis) -> None:
    wanted = [ActorId.of("demo", f"c-{n:03}") for n in range(400)]
    shuffled = random.Random(7).sample(wanted, len(wanted))
    for actor in shuffled:
        await table.create(actor, template="t")
    listing = Listing(redis)
    assert await names(listing, "demo", 60) == [str(actor) for actor in wanted]
    for actor in shuffled[:390]:
        record = await table.read(actor)
        assert record is not None
        await table.delete(actor, record.uid)
    assert await names(listing, "demo", 3) == sorted(str(actor) for actor in shuffled[390:])


async def test_all_namespaces_page_as_one_list(table: Table, redis: Redis) -> None:
    wanted = [ActorId.of(space, f"c{n}") for space in ("a", "b", "b-2") for n in range(5)]
    for actor in reversed(wanted):
        await table.create(actor, template="t")
    assert await names(Listing(redis), None, 4) == [str(actor) for actor in wanted]
    assert await names(Listing(redis), "b", 5) == [f"b/c{n}" for n in range(5)]
    assert await names(Listing(redis), "nobody", 5) == []


async def test_namespace_without_actors_leaves_nothing_behind(table: Table, redis: Redis) -> None:
    made = await table.create(ActorId.of("demo", "c1"), template="t")
    assert made.record is not None
    await table.delete(made.record.actor, made.record.uid)
    tombstone = keys.actor_key(made.record.actor).encode()
    assert await redis.keys("rouse:*") == [tombstone]
    assert 0 < await redis.pttl(tombstone) <= 60_000


async def test_entry_without_a_record_is_left_out_and_removed(redis: Redis) -> None:
    listing = Listing(redis)
    await listing.add(ActorId.of("demo", "ghost"))
    assert await listing.list("demo") == ([], None)
    assert await redis.keys("rouse:*") == []


async def test_repair_finds_what_the_index_lost(table: Table, redis: Redis) -> None:
    for n in range(5):
        await table.create(ActorId.of("demo", f"c{n}"), template="t")
    gone = await table.read(ActorId.of("demo", "c4"))
    assert gone is not None
    await table.delete(gone.actor, gone.uid)
    await Scripts(redis).run("index_remove", [keys.index_key("demo")], ["c2"])
    await redis.delete(keys.NAMESPACES)
    listing = Listing(redis)
    assert await listing.repair() == 1
    assert await names(listing, None, 10) == [f"demo/c{n}" for n in range(4)]


async def test_names_in_order_fill_their_leaves(redis: Redis) -> None:
    listing = Listing(redis)
    for n in range(256):
        await listing.add(ActorId.of("demo", f"c-{n:04}"))
    assert await redis.zcard(keys.index_key("demo")) == 3
    leaf = f"{keys.index_key('demo')}:-"
    assert await redis.zcard(leaf) == 127
    assert await redis.object("ENCODING", leaf) == b"listpack"


async def test_million_sleeping_actors_fit_in_200_mb(table: Table, redis: Redis) -> None:
    async def used() -> int:
        memory: Any = await redis.info("memory")
        return int(memory["used_memory_dataset"])

    # The first actor brings scripts and hash tables along.
    await table.create(ActorId.of("demo", "c-first"), template="counter")
    before, count = await used(), 2_000
    async with redis.pipeline(transaction=False) as pipe:
        for n in range(count):
            key = keys.actor_key(ActorId.of("demo", f"c-{n:06}"))
            pipe.execute_command("SET", key, _asleep(n))
        await pipe.execute()
    assert await Listing(redis).repair() == count
    assert (await used() - before) / count <= 190


def _asleep(n: int) -> bytes:
    """A record as commit_suspend leaves it, with a snapshot's id as the vault makes them."""
    snapshot = pack_snapshot(f"{700 + n}-{b32encode(n.to_bytes(16, 'big')).decode()[:26].lower()}")
    assert isinstance(snapshot, bytes) and len(snapshot) <= 31
    # As Lua packs it: text and bytes are one kind, and empty places at the end are left out.
    pack = msgspec.msgpack.encode
    places: list[bytes] = [
        b"\xa8" + n.to_bytes(8, "big"),
        *map(pack, ("S", 700, 4000, "counter", 1_763_930_000 + n, 86_400_000 + n, 2**31 + n)),
        bytes([0xA0 + len(snapshot)]) + snapshot,
        pack("worker-1"),
    ]
    return bytes([0x90 + len(places)]) + b"".join(places)


async def test_r22_a_listing_costs_its_page_however_many_there_are(redis: Redis) -> None:
    """Among 20 names or among 2,000: one page asks the server as often."""
    listing = Listing(redis)

    async def calls() -> int:
        if isinstance(redis, RedisCluster):
            told: Any = await redis.info("commandstats", target_nodes="primaries")
        else:
            told = await redis.info("commandstats")
        nodes = told.values() if isinstance(redis, RedisCluster) else [told]
        names = ("cmdstat_evalsha", "cmdstat_get", "cmdstat_zrangebylex")
        return sum(node[name]["calls"] for node in nodes for name in names if name in node)

    spent = []
    for begin, end in ((0, 20), (20, 2_000)):
        for n in range(begin, end):
            await listing._scripts.run("index_add", ["rouse:n:{demo}"], [f"c{n:05}", "127"])
        # With the records that a page reads; the others are left out, and cost nothing here.
        first = [ActorId("demo", f"c{n:05}") for n in range(10)]
        for actor in first:
            await redis.set(keys.actor_key(actor), _asleep(0))
        before = await calls()
        page, cursor = await listing.list("demo", limit=10)
        spent.append(await calls() - before)
        assert [record.actor for record in page] == first and cursor == str(first[-1])
    assert spent[0] == spent[1] > 0


async def test_r22_paging_survives_concurrent_deletes_and_creates(
    table: Table, redis: Redis
) -> None:
    """Who was there all the time is told once; who was deleted meanwhile ends no page early."""
    listing, rng = Listing(redis), random.Random(22)
    stay = [ActorId("demo", f"c{n:03}-stays") for n in range(60)]
    go = [ActorId("demo", f"c{n:03}-goes") for n in range(60)]
    uids = {}
    for actor in (*stay, *go):
        made = (await table.create(actor, template="counter")).record
        assert made is not None
        uids[actor] = made.uid
    rng.shuffle(go)
    seen: list[ActorId] = []
    cursor: str | None = None
    while not seen or cursor is not None:
        for actor in [go.pop() for _ in range(min(4, len(go)))]:
            await table.delete(actor, uids[actor])
        await table.create(ActorId("demo", f"new-{len(seen)}"), template="counter")
        page, cursor = await listing.list("demo", cursor=cursor, limit=7)
        seen += [record.actor for record in page]
    assert len(seen) == len(set(seen)) and set(stay) <= set(seen)
