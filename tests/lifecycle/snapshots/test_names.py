"""Snapshot ids and keys: what they may look like, and whose they are."""

import pytest

from lifecycle.snapshots.names import Home, InvalidSnapshotId, is_name, new_name, parse_key
from placement.model import InvalidName

HOME = Home("demo", "u-1")


def test_a_name_tells_its_epoch_and_is_never_made_twice() -> None:
    names = {new_name(7) for _ in range(1000)}
    assert len(names) == 1000
    assert all(is_name(name) and name.startswith("7-") for name in names)


def test_keys_lie_under_namespace_and_uid() -> None:
    name = new_name(3)
    assert HOME.manifest(name) == f"demo/u-1/m/{name}"
    assert HOME.pack(name) == f"demo/u-1/p/{name}"
    assert parse_key(HOME.pack(name)) == (HOME, "p", name)
    assert parse_key(HOME.manifest(name)) == (HOME, "m", name)


def test_an_id_means_ones_own_or_names_whose() -> None:
    name = new_name(3)
    assert HOME.find(name) == (HOME, name)
    assert HOME.find(f"u-2:{name}") == (Home("demo", "u-2"), name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1-",
        "../1-a",
        "1-" + "a" * 25,
        "01-" + "a" * 26,
        "1-" + "A" * 26,
        "1-" + "a" * 26 + "\n",
        "x/y:1-" + "a" * 26,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidSnapshotId):
        HOME.find(text)


@pytest.mark.parametrize("uid", ["", "..", "a/b", "a.b", "x" * 65, "ä"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(InvalidSnapshotId):
        Home("demo", uid)


def test_a_namespace_is_a_label() -> None:
    with pytest.raises(InvalidName):
        Home("../demo", "u-1")


@pytest.mark.parametrize(
    "key", ["", "demo/u-1/m", "demo/u-1/x/" + new_name(1), "_probe/a", "a/b/c/d/e", "D/u/m/1-x"]
)
def test_a_strangers_key_is_nobodys(key: str) -> None:
    assert parse_key(key) is None
