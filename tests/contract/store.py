"""The contract of lifecycle.snapshots.base.Store: every store passes all of it.

A subclass gives the fixture `store`: an empty one of its own kind.
"""

import asyncio

import pytest

from lifecycle.snapshots.base import ObjectExists, ObjectMissing, Store

KEY = "demo/u-1/m/1-abc"


async def listed(store: Store, prefix: str) -> list[str]:
    return sorted([key async for key in store.keys(prefix)])


class StoreContract:
    async def test_what_was_created_is_read_whole(self, store: Store) -> None:
        body = bytes(range(256)) * 1000
        await store.create(KEY, body)
        assert await store.read(KEY) == body

    async def test_an_empty_object_is_an_object(self, store: Store) -> None:
        await store.create(KEY, b"")
        assert await store.read(KEY) == b""

    async def test_parts_are_read_by_offset_and_length(self, store: Store) -> None:
        await store.create(KEY, b"0123456789")
        assert await store.read(KEY, 3, 4) == b"3456"
        assert await store.read(KEY, 7) == b"789"
        assert await store.read(KEY, 0, 1) == b"0"

    async def test_a_part_beyond_the_end_is_what_there_is(self, store: Store) -> None:
        await store.create(KEY, b"0123456789")
        assert await store.read(KEY, 8, 100) == b"89"
        assert await store.read(KEY, 10, 5) == b""

    async def test_a_taken_name_is_refused_and_keeps_its_content(self, store: Store) -> None:
        await store.create(KEY, b"first")
        for body in (b"second", b"first"):
            with pytest.raises(ObjectExists):
                await store.create(KEY, body)
        assert await store.read(KEY) == b"first"

    async def test_of_many_that_create_one_name_one_wins(self, store: Store) -> None:
        bodies = [b"%d" % n * 5000 for n in range(8)]
        answers = await asyncio.gather(
            *(store.create(KEY, body) for body in bodies), return_exceptions=True
        )
        won = [body for body, answer in zip(bodies, answers, strict=True) if answer is None]
        assert len(won) == 1
        assert await store.read(KEY) == won[0]

    async def test_what_is_not_there_is_missing(self, store: Store) -> None:
        await store.create(KEY, b"x")
        for key in ("demo/u-1/m/2-abc", "demo/u-1/m", "demo/u-1/m/1-ab", f"{KEY}/more", "other"):
            with pytest.raises(ObjectMissing):
                await store.read(key)

    async def test_removed_is_missing_and_may_be_removed_again(self, store: Store) -> None:
        await store.create(KEY, b"x")
        await store.remove(KEY)
        await store.remove(KEY)
        with pytest.raises(ObjectMissing):
            await store.read(KEY)
        await store.create(KEY, b"y")
        assert await store.read(KEY) == b"y"

    async def test_keys_are_those_that_begin_with_the_prefix(self, store: Store) -> None:
        keys = ["a/b/m/1", "a/b/m/12", "a/b/p/1", "a/bb/m/1", "c/b/m/1"]
        for key in keys:
            await store.create(key, b"x")
        assert await listed(store, "") == sorted(keys)
        assert await listed(store, "a/b/") == ["a/b/m/1", "a/b/m/12", "a/b/p/1"]
        assert await listed(store, "a/b") == ["a/b/m/1", "a/b/m/12", "a/b/p/1", "a/bb/m/1"]
        assert await listed(store, "a/b/m/1") == ["a/b/m/1", "a/b/m/12"]
        assert await listed(store, "nobody/") == []

    async def test_creates_and_removes_side_by_side_do_not_disturb_each_other(
        self, store: Store
    ) -> None:
        async def come_and_go(n: int) -> None:
            for round_ in range(5):
                await store.create(f"demo/u/m/{n}-{round_}", b"x")
                await store.remove(f"demo/u/m/{n}-{round_}")

        await asyncio.gather(*(come_and_go(n) for n in range(6)))
        assert await listed(store, "") == []

    async def test_a_check_leaves_nothing_behind(self, store: Store) -> None:
        await store.check()
        assert await listed(store, "") == []
