"""What Agent Substrate's own tests ask of an actor's life (S9, S16, S52 to S54) in our words, and
what its nodes could not do (R17, R18): by the counter, which counts in memory and in a file."""

import concurrent.futures
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.programs.stage import Example, apply
from tests.system.product import Process, role, sandboxes, started, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

CACHE_BYTES = 4 << 20


def counts(it: Example, actor: str) -> tuple[int, int]:
    told = it.get(actor)
    return told["ram"], told["file"]


@pytest.fixture
def free(up: Process) -> int:
    """Slots before the test."""
    return int(up.metric("rouse_slots", kind="free"))


def test_s9_s16_the_first_request_starts_it_and_a_suspend_leaves_a_snapshot_and_a_free_slot(
    up: Process, runtime: str, free: int
) -> None:
    it = apply(up, "counter", f"life-{runtime}", runtime)
    assert counts(it, "a") == (1, 1)
    running = up.actor("a", it.ns)
    assert (running["state"], running["epoch"]) == ("RUNNING", 1)
    assert running["worker"] and running["residence"]["pid"]
    it.suspend("a")
    asleep = up.actor("a", it.ns)
    assert asleep["snapshot"] and not asleep.get("residence")
    uid = asleep["uid"]
    assert list((up.data / "snapshots").rglob(f"*{uid}*")), "in the store, not on the worker alone"
    # Others that are going to sleep by themselves may leave theirs, too.
    until("its slot is free", lambda: up.metric("rouse_slots", kind="free") >= free)
    assert not [path for path in (up.data / "worker" / "copies").iterdir() if uid in path.name]


def test_s52_a_freeze_and_a_suspend_keep_both_counters(up: Process, gvisor: str) -> None:
    idle = {"freezeAfter": "200ms", "suspendAfter": "never"}
    it = apply(up, "counter", "both", gvisor, idle=idle)
    assert counts(it, "a") == (1, 1)
    for count in (2, 3):
        until("it is frozen", lambda: it.state("a") == "frozen")
        assert counts(it, "a") == (count, count)
    for count in (4, 5):
        it.suspend("a")
        assert counts(it, "a") == (count, count)


def test_s53_a_deleted_actor_is_not_found_and_its_name_is_another_actors(
    up: Process, gvisor: str
) -> None:
    it = apply(up, "counter", "deleted", gvisor, create={"onRequest": False})
    made = up.cli("actor", "create", "a", "--template", "counter", "-n", it.ns)
    assert made.returncode == 0, made.stderr
    assert it.state("a") == "SUSPENDED"  # S51
    assert counts(it, "a") == (1, 1)
    it.suspend("a")
    assert up.cli("actor", "delete", "a", "-n", it.ns).returncode == 0
    assert up.cli("actor", "get", "a", "-n", it.ns).returncode == 4
    assert it.send("GET", "a", "/").status == 404
    assert up.cli("actor", "create", "a", "--template", "counter", "-n", it.ns).returncode == 0
    assert counts(it, "a") == (1, 1)


@pytest.mark.parametrize("scope", ["full", "data"])
def test_s54_full_keeps_memory_and_file_data_keeps_the_file(
    up: Process, gvisor: str, scope: str
) -> None:
    it = apply(up, "counter", f"scope-{scope}", gvisor, snapshot={"scope": scope})
    assert [counts(it, "a") for _ in range(2)] == [(1, 1), (2, 2)]
    it.suspend("a")
    assert counts(it, "a") == ((3, 3) if scope == "full" else (1, 3))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Process]:
    """Caches that hold less than two actors leave behind."""
    with started(role("up", tmp_path, ROUSE_SNAPSHOTS_CACHE_BYTES=str(CACHE_BYTES))) as process:
        yield process


def test_r17_one_root_for_all_actors_of_a_worker_and_caches_bounded_in_bytes(
    small: Process, runtime: str
) -> None:
    it = apply(small, "counter", "caches", runtime)
    roots: set[tuple[str, int]] = set()
    for number in range(4):
        actor = f"a{number}"
        body = os.urandom(2 << 20)  # which nothing compresses or shares
        assert it.send("PUT", actor, "/files/big", body=body).status in (200, 201)
        it.suspend(actor)
        roots |= {(path.name, path.stat().st_ino) for path in small.data.rglob("rootfs-*")}
        caches = [small.data / "cache", small.data / "worker" / "kept"]
        assert all(size_of(place) <= CACHE_BYTES for place in caches), list(map(size_of, caches))
    assert len(roots) == (1 if runtime == "gvisor" else 0)
    assert len(it.send("GET", "a0", "/files/big").body) == 2 << 20


def size_of(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def test_r18_many_wakes_on_one_worker_go_side_by_side(up: Process) -> None:
    many, slow_s = 12, 2.0
    wait: dict[str, Any] = {"command": ["sh", "-c", "sleep 2; exec python3 -S -m counter"]}
    it = apply(up, "counter", "slow", "bubblewrap", **wait)
    names = [f"a{number}" for number in range(many)]
    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        assert list(pool.map(lambda name: counts(it, name), names)) == [(1, 1)] * many
        list(pool.map(it.suspend, names))
        began = time.monotonic()
        assert list(pool.map(lambda name: counts(it, name), names)) == [(1, 2)] * many
        took_s = time.monotonic() - began
    # One after the other they would take 24 s, and two by two 12.
    assert slow_s < took_s < many * slow_s / 2
    assert sandboxes(up)
