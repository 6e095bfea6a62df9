"""The catalog on a real server."""

import pytest
from redis.asyncio import Redis

from placement import keys
from placement.catalog import Catalog
from placement.changes import Change, TemplateChanged, parse
from placement.errors import RecordRefused

BODY = b"spec:\n  command: [run]\n"


async def test_document_comes_back_byte_for_byte(redis: Redis) -> None:
    catalog = Catalog(redis)
    assert await catalog.put("demo", "counter", BODY, "d1")
    kept = await catalog.get("demo", "counter")
    assert kept is not None and (kept.body, kept.digest) == (BODY, "d1")
    assert await catalog.get("demo", "other") is None
    assert await catalog.get("prod", "counter") is None


async def test_same_document_again_changes_nothing(redis: Redis) -> None:
    catalog = Catalog(redis)
    assert await catalog.put("demo", "counter", BODY, "d1")
    assert not await catalog.put("demo", "counter", BODY, "d1")
    assert await catalog.put("demo", "counter", b"", "d2")


async def test_list_is_by_namespace_or_of_all_in_order(redis: Redis) -> None:
    catalog = Catalog(redis)
    for namespace, name in (("b", "x"), ("a", "y"), ("a", "x")):
        await catalog.put(namespace, name, BODY, "d")
    assert [(t.namespace, t.name) for t in await catalog.list()] == [
        ("a", "x"),
        ("a", "y"),
        ("b", "x"),
    ]
    assert [t.name for t in await catalog.list("b")] == ["x"]
    assert await catalog.list("none") == ()


async def test_every_change_is_told_and_nothing_else(redis: Redis) -> None:
    catalog = Catalog(redis)
    async with redis.pubsub(ignore_subscribe_messages=True) as heard:
        await heard.subscribe(keys.CHANGES)
        await catalog.put("demo", "counter", BODY, "d1")
        await catalog.put("demo", "counter", BODY, "d1")
        assert await catalog.delete("demo", "counter")
        assert not await catalog.delete("demo", "counter")
        await redis.publish(keys.CHANGES, "t end/end")
        told: list[Change] = []
        while not told or told[-1] != TemplateChanged(namespace="end", name="end"):
            message = await heard.get_message(timeout=5)
            if message is not None:
                told.append(parse(message["data"].decode()))
    assert told[:-1] == [TemplateChanged(namespace="demo", name="counter")] * 2


async def test_foreign_document_is_refused_by_name(redis: Redis) -> None:
    await Catalog(redis).put("demo", "counter", BODY, "d1")
    await redis.execute_command("HSET", keys.templates_key("demo"), "counter", "x")  # type: ignore[no-untyped-call]
    with pytest.raises(RecordRefused, match="demo/counter"):
        await Catalog(redis).get("demo", "counter")
