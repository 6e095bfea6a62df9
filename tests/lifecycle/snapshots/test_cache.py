"""The cache: bounded, in order of use, over restarts, and never an error of its own."""

import os
from pathlib import Path

from lifecycle.snapshots.cache import Cache


def test_what_was_put_is_there_and_what_was_dropped_is_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    cache.put("a/b", b"body")
    assert cache.get("a/b") == b"body"
    cache.drop("a/b")
    assert cache.get("a/b") is None and cache.total_bytes == 0
    assert os.listdir(tmp_path / "cache") == []


def test_the_longest_unused_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    for key in ("a", "b", "c"):
        cache.put(key, bytes(300))
    cache.get("a")
    cache.put("d", bytes(300))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert cache.total_bytes == 900 == sum(p.stat().st_size for p in tmp_path.iterdir())


def test_the_limit_holds_whatever_is_put(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    for n in range(200):
        cache.put(f"k{n % 7}", bytes(n * 3))
        assert cache.total_bytes <= 1000
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == cache.total_bytes


def test_one_object_does_not_push_out_all_others(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    cache.put("small", bytes(100))
    cache.put("big", bytes(900))
    assert cache.get("big") is None and cache.get("small") == bytes(100)


def test_a_restart_finds_what_was_there_within_a_new_limit(tmp_path: Path) -> None:
    first = Cache(tmp_path, 1000)
    for n, key in enumerate(("old", "new")):
        first.put(key, bytes(300))
        for path in tmp_path.iterdir():
            if path.stat().st_mtime > 1000:
                os.utime(path, (n, n))
    (tmp_path / ".half-written").write_bytes(bytes(500))
    again = Cache(tmp_path, 400)
    assert again.get("old") is None and again.get("new") == bytes(300)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_went_away_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    cache.put("a", b"body")
    for path in tmp_path.iterdir():
        path.unlink()
    assert cache.get("a") is None and cache.total_bytes == 0


def test_a_disk_that_fails_makes_it_empty_not_broken(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    (tmp_path / "cache").rmdir()
    cache.put("a", b"body")
    assert cache.get("a") is None and cache.total_bytes == 0
