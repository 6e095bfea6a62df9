"""Retrying: what is repeated, what is not, and that a repeat knows its own object.

The store below it is real; around that stands one that fails where the test says.
"""

import asyncio
import random
from pathlib import Path

import pytest

from lifecycle.snapshots.base import ObjectExists, ObjectMissing, Store, StoreUnavailable
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.retrying import Retrying
from tests.contract.store import StoreContract, listed
from tests.lifecycle.snapshots.failing import FailingStore


@pytest.fixture
def failing(tmp_path: Path) -> FailingStore:
    return FailingStore(LocalStore(tmp_path / "store"))


@pytest.fixture
def store(failing: FailingStore) -> Store:
    return Retrying(failing, budget_s=5, chance=random.Random(1))


class TestContract(StoreContract):
    pass


async def test_what_may_pass_is_repeated(store: Store, failing: FailingStore) -> None:
    failing.plan = ["before create", "before create", "before read", "before keys", "before remove"]
    await store.create("a/b", b"x")
    assert await store.read("a/b") == b"x"
    assert await listed(store, "a/") == ["a/b"]
    await store.remove("a/b")
    assert failing.plan == []


async def test_a_create_whose_answer_was_lost_knows_its_own_object(
    store: Store, failing: FailingStore
) -> None:
    failing.plan = ["after create", "before create", "before read"]
    await store.create("a/b", b"mine")
    assert await failing.store.read("a/b") == b"mine"
    assert failing.plan == []


async def test_another_ones_object_is_never_taken_for_ones_own(
    store: Store, failing: FailingStore
) -> None:
    await failing.store.create("a/b", b"another's")
    failing.plan = ["before create"]
    with pytest.raises(ObjectExists):
        await store.create("a/b", b"mine")
    assert await failing.store.read("a/b") == b"another's"


async def test_a_name_taken_at_the_first_attempt_is_an_error_even_with_equal_content(
    store: Store, failing: FailingStore
) -> None:
    await failing.store.create("a/b", b"same")
    with pytest.raises(ObjectExists):
        await store.create("a/b", b"same")
    assert failing.calls == ["create"]


async def test_what_is_final_is_not_repeated(store: Store, failing: FailingStore) -> None:
    await failing.store.create("a/c", b"x")
    with pytest.raises(ObjectMissing):
        await store.read("a/b")
    assert failing.calls == ["read"]


async def test_a_listing_that_broke_off_begins_anew_and_names_nothing_twice(
    store: Store, failing: FailingStore
) -> None:
    for name in ("a/1", "a/2", "a/3"):
        await failing.store.create(name, b"x")
    failing.plan = ["after keys"]
    assert await listed(store, "a/") == ["a/1", "a/2", "a/3"]


async def test_the_budget_ends_repeats(failing: FailingStore) -> None:
    store = Retrying(failing, budget_s=0.3, chance=random.Random(1))
    failing.plan = ["before read"] * 100
    began = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailable, match="failed before read"):
        await store.read("a/b")
    assert asyncio.get_running_loop().time() - began <= 0.4
    assert 2 <= len(failing.calls) <= 10


async def test_a_store_that_never_answers_is_given_up_within_the_budget(
    failing: FailingStore,
) -> None:
    store = Retrying(failing, budget_s=0.1, chance=random.Random(1))
    failing.plan = ["hang create"]
    with pytest.raises(StoreUnavailable, match="no answer"):
        await store.create("a/b", b"x")


async def test_a_check_says_how_it_is_now(store: Store, failing: FailingStore) -> None:
    failing.plan = ["before check"]
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.check()
