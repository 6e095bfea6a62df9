"""Keys: one slot for what one script touches, nobody else's names."""

import pytest
from redis.crc import key_slot

from placement import keys
from placement.errors import RecordRefused
from placement.model import ActorId


def test_actor_has_one_key_with_the_hash_tag_around_its_name() -> None:
    key = keys.actor_key(ActorId.of("demo", "c1"))
    assert key == "rouse:a:{demo/c1}"
    assert keys.actor_of(key) == ActorId("demo", "c1")


def test_lease_and_record_of_a_worker_are_in_one_slot() -> None:
    lease, record = keys.lease_key("worker-1"), keys.worker_key("worker-1")
    assert key_slot(lease.encode()) == key_slot(record.encode()) and lease != record


def test_leaves_of_an_index_are_in_the_slot_of_their_root() -> None:
    root = keys.index_key("demo")
    assert key_slot(root.encode()) == key_slot(f"{root}:c1".encode())


def test_r7_names_of_two_namespaces_never_share_a_key() -> None:
    # Neither a slash nor a brace can be in a label, so no two actors have one key.
    assert keys.actor_key(ActorId("a", "b-c")) != keys.actor_key(ActorId("a-b", "c"))


@pytest.mark.parametrize("foreign", ["rouse:a:{demo}", "rouse:a:{Demo/c1}", "rouse:a:x"])
def test_foreign_key_is_refused_by_name(foreign: str) -> None:
    with pytest.raises(RecordRefused, match="rouse:a"):
        keys.actor_of(foreign)
