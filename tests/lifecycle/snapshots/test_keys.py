"""Keys are derived apart for each namespace, and the master key stays with its owner."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifecycle.snapshots.keys import Keys, KeyUnusable, load_key, load_or_make_key

MASTER = bytes(range(32))


def test_namespaces_share_no_key() -> None:
    keys = Keys(MASTER)
    a, b = keys.of("a"), keys.of("b")
    assert len({a.sealing, b.sealing, a.naming, b.naming}) == 4
    assert a.key_id == b.key_id == keys.key_id


def test_the_same_master_key_gives_the_same_keys_after_a_restart() -> None:
    assert Keys(MASTER).of("a") == Keys(MASTER).of("a")
    assert Keys(MASTER).key_id != Keys(MASTER[::-1]).key_id


def test_no_repr_shows_a_key() -> None:
    keys = Keys(MASTER)
    shown = f"{keys!r} {keys.of('a')!r}"
    for secret in (MASTER, keys.of("a").sealing, keys.of("a").naming):
        assert secret.hex() not in shown and repr(secret) not in shown


def test_a_key_is_made_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master.key"
    made = load_or_make_key(path)
    assert load_or_make_key(path) == load_key(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_or_make_key(path), range(32)))
    assert len(set(keys)) == 1


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    load_or_make_key(path)
    path.chmod(0o640)
    with pytest.raises(KeyUnusable, match="chmod 600"):
        load_or_make_key(path)


@pytest.mark.parametrize("text", ["", "swordfish", "ab" * 31, "ab" * 33, "ä" * 64])
def test_a_file_that_is_no_key_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeyUnusable) as refused:
        load_or_make_key(path)
    assert not text or text not in str(refused.value)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="31 bytes"):
        Keys(bytes(31))
