"""The vault's promises on a real store: whole or refused, nothing in part, old ones stay good."""

import asyncio
import os
import random
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.errors import DependencyAway, SnapshotFailed, SnapshotRefused
from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.image import Memory, write_terms
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.manifest import PAGE_BYTES
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.rebuild import remove_tree
from lifecycle.snapshots.stores import open_store
from lifecycle.snapshots.vault import Saved, SnapshotOwner, Vault
from placement.model import ActorId
from tests.contract.store import listed
from tests.lifecycle.snapshots.failing import FailingStore
from tests.lifecycle.snapshots.trees import facts, plant
from tests.objectstore import BUCKET

KEYS = Keys(bytes(32))
ACTOR = ActorId("demo", "c1")
BIG = random.Random(1).randbytes(600_000)


def owner(epoch: int = 1, uid: str = "u-1", namespace: str = "demo") -> SnapshotOwner:
    return SnapshotOwner(actor=ActorId(namespace, "c1"), uid=uid, epoch=epoch)


@dataclass
class Bench:
    """One vault, the store behind it, and a tree to save."""

    where: Path
    store: FailingStore
    vault: Vault

    async def save(self, parent: str | None = None, epoch: int = 1) -> Saved:
        roots = {"/data": self.where / "data"}
        return await self.vault.save(owner(epoch), roots, parent=parent)

    async def restore(self, snapshot_id: str, uid: str = "u-1", namespace: str = "demo") -> Path:
        out = self.where / f"out-{secrets.token_hex(4)}"
        await self.vault.restore(namespace, uid, snapshot_id, {"/data": out})
        return out

    def leftovers(self) -> list[str]:
        known = {"data", "store", "cache"}
        return sorted(set(os.listdir(self.where)) - known)

    def object(self, key: str) -> Path:
        return self.where / "store" / key


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    plant(tmp_path / "data", {"count": b"41", "sub/big": BIG})
    store = FailingStore(LocalStore(tmp_path / "store"))
    vault = Vault(store, KEYS, None)
    yield Bench(tmp_path, store, vault)
    await vault.close()


async def test_p2_what_was_saved_is_what_comes_back(bench: Bench) -> None:
    root = bench.where / "data"
    (root / "link").symlink_to("../elsewhere")
    os.link(root / "count", root / "same")
    (root / "sub").chmod(0o500)
    saved = await bench.save()
    out = await bench.restore(saved.id)
    assert facts(out) == facts(root)
    assert saved.files == 2 and saved.bytes_total == 2 + len(BIG)


names = st.binary(min_size=1, max_size=12).filter(
    lambda name: name not in (b".", b"..") and not set(name) & set(b"/\0")
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.integers(0, 3 * CHUNK_BYTES).map(bytes),
    st.tuples(st.integers(0, 2**34), st.binary(min_size=1, max_size=50)),
    st.integers(1, 400_000).map(lambda size: random.Random(size).randbytes(size)),
)
nodes = st.recursive(
    st.one_of(
        bodies,
        names.map(lambda target: ("link", target)),
    ),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def grow(path: bytes, node: object, mode: int) -> None:
    match node:
        case dict():
            os.mkdir(path)
            for name, inner in node.items():
                grow(path + b"/" + name, inner, mode)
            os.chmod(path, 0o700 | mode)
        case ("link", bytes(target)):
            os.symlink(target, path)
            return
        case (int(offset), bytes(body)):
            with open(path, "wb") as file:
                file.seek(offset)
                file.write(body)
        case bytes(body):
            with open(path, "wb") as file:
                file.write(body)
            os.chmod(path, 0o400 | mode)
        case _:
            raise AssertionError(node)
    os.utime(path, ns=(0, 1_600_000_000_000_000_000 + mode))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(names, nodes, max_size=5),
    st.dictionaries(names, nodes, max_size=3),
    st.integers(0, 0o77),
)
def test_p2_any_tree_comes_back_as_it_was(
    first: dict[bytes, object], second: dict[bytes, object], mode: int
) -> None:
    async def there_and_back(where: Path) -> None:
        vault = Vault(LocalStore(where / "store"), KEYS, None)
        ins = {"/one": where / "one", "/two": where / "two"}
        outs = {root: where / "out" / path.name for root, path in ins.items()}
        for path, tree in zip(ins.values(), (first, second), strict=True):
            grow(os.fsencode(path), tree, mode)
        saved = await vault.save(owner(), ins, parent=None)
        again = await vault.save(owner(), ins, parent=saved.id)
        await vault.restore("demo", "u-1", again.id, outs)
        await vault.close()
        for root, path in ins.items():
            # Sparse files of gigabytes are compared by what they hold, not by reading zeros.
            assert sizes(outs[root]) == sizes(path)
            if sum(size for _, size in sizes(path)) < 10_000_000:
                assert facts(outs[root]) == facts(path)

    with tempfile.TemporaryDirectory() as where:
        asyncio.run(there_and_back(Path(where)))


def sizes(root: Path) -> list[tuple[str, int]]:
    return sorted(
        (os.path.relpath(os.path.join(top, name), root), os.lstat(os.path.join(top, name)).st_size)
        for top, _, files in os.walk(root)
        for name in files
    )


async def test_a54_files_are_there_after_every_cycle_and_little_is_written(bench: Bench) -> None:
    root, parent = bench.where / "data", None
    for cycle in range(1, 21):
        (root / "count").write_text(str(cycle))
        with (root / "log").open("a") as log:
            log.write(f"line {cycle}\n" * 50)
        saved = await bench.save(parent, epoch=cycle)
        before = facts(root)
        root.rename(bench.where / "gone")
        await bench.vault.restore("demo", "u-1", saved.id, {"/data": root})
        assert facts(root) == before
        remove_tree(bench.where / "gone")
        if parent is not None:
            assert saved.objects == 1 and saved.bytes_written < 40_000
        parent = saved.id


async def test_a_small_snapshot_is_one_object_to_write_and_one_to_read(tmp_path: Path) -> None:
    vault = Vault(LocalStore(tmp_path / "store"), KEYS, None)
    root = plant(tmp_path / "in", {f"f{n}": random.Random(n).randbytes(3400) for n in range(3)})
    saved = await vault.save(owner(), {"/data": root}, parent=None)
    restored = await vault.restore("demo", "u-1", saved.id, {"/data": tmp_path / "out"})
    assert (saved.objects, restored.objects) == (1, 1)
    assert restored.bytes_read == saved.bytes_written < 11_000
    await vault.close()


# -- P6: damaged, truncated, foreign, wrong version, wrong key ------------------------------------


async def refused(bench: Bench, snapshot_id: str, uid: str = "u-1", ns: str = "demo") -> str:
    with pytest.raises(SnapshotRefused) as error:
        await bench.restore(snapshot_id, uid, ns)
    assert snapshot_id in str(error.value) and f"{ns}/{uid}" in str(error.value)
    assert bench.leftovers() == []
    return str(error.value)


@pytest.mark.parametrize("kind", ["m", "p"])
async def test_p6_r15_whatever_byte_is_damaged_it_is_refused_by_name(
    bench: Bench, kind: str
) -> None:
    saved = await bench.save()
    (key,) = await listed(bench.store, f"demo/u-1/{kind}/")
    path = bench.object(key)
    good = path.read_bytes()
    chance = random.Random(7)
    places = {*range(28), len(good) - 1, *(chance.randrange(len(good)) for _ in range(40))}
    for place in sorted(places):
        bad = bytearray(good)
        bad[place] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        assert key in await refused(bench, saved.id)
    for length in (0, 1, 27, 28, 29, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:length])
        assert key in await refused(bench, saved.id)
    path.write_bytes(good + b"\0")
    assert key in await refused(bench, saved.id)
    path.write_bytes(good)
    assert facts(await bench.restore(saved.id)) == facts(bench.where / "data")


@pytest.mark.parametrize("kind", ["m", "p"])
async def test_p6_what_is_missing_is_refused_by_name(bench: Bench, kind: str) -> None:
    saved = await bench.save()
    (key,) = await listed(bench.store, f"demo/u-1/{kind}/")
    await bench.store.remove(key)
    assert f"{key} is missing" in await refused(bench, saved.id)


async def test_p6_anothers_snapshot_under_ones_own_name_is_refused(bench: Bench) -> None:
    saved = await bench.save()
    body = await bench.store.read(Home("demo", "u-1").manifest(saved.id))
    for namespace, uid in (("demo", "u-2"), ("other", "u-1")):
        await bench.store.create(Home(namespace, uid).manifest(saved.id), body)
        assert "not written under this name" in await refused(bench, saved.id, uid, namespace)
    other = new_name(1)
    await bench.store.create(Home("demo", "u-1").manifest(other), body)
    await refused(bench, other)


async def test_p6_another_master_key_is_refused_and_said(bench: Bench) -> None:
    saved = await bench.save()
    bench.vault = Vault(bench.store, Keys(b"\1" * 32), None)
    assert KEYS.key_id.hex() in await refused(bench, saved.id)


@pytest.mark.parametrize("text", ["", "latest", "../../u-2/m/x", "u-2:../x", "1-" + "a" * 26])
async def test_p6_an_id_of_nothing_is_refused(bench: Bench, text: str) -> None:
    await bench.save()
    await refused(bench, text)


async def test_a_fork_reads_its_origins_snapshot_by_a_name_that_says_so(bench: Bench) -> None:
    saved = await bench.save()
    await refused(bench, saved.id, uid="u-2")
    out = await bench.restore(f"u-1:{saved.id}", uid="u-2")
    assert facts(out) == facts(bench.where / "data")
    # It is saved whole: packs are collected with their own actor.
    roots = {"/data": out}
    forked = await bench.vault.save(owner(uid="u-2"), roots, parent=f"u-1:{saved.id}")
    await bench.vault.delete_actor("demo", "u-1")
    assert facts(await bench.restore(forked.id, uid="u-2")) == facts(out)


async def test_no_name_and_no_content_is_readable_in_the_store(bench: Bench) -> None:
    plant(bench.where / "data", {"secret-name": b"secret-content " * 20_000})
    await bench.save()
    for key in await listed(bench.store, ""):
        body = await bench.store.read(key)
        assert b"secret-name" not in body and b"secret-content" not in body


async def test_namespaces_do_not_share_and_cannot_see_equal_chunks(bench: Bench) -> None:
    roots = {"/data": bench.where / "data"}
    one = await bench.vault.save(owner(namespace="a"), roots, parent=None)
    two = await bench.vault.save(owner(namespace="b"), roots, parent=one.id)
    assert two.objects == one.objects == 2


# -- templates that changed ----------------------------------------------------------------------


async def test_a_directory_the_template_dropped_is_refused_not_lost(bench: Bench) -> None:
    saved = await bench.save()
    with pytest.raises(SnapshotRefused, match="/data"):
        await bench.vault.restore("demo", "u-1", saved.id, {"/other": bench.where / "out"})
    assert bench.leftovers() == []


async def test_a_directory_the_template_gained_begins_empty(bench: Bench) -> None:
    saved = await bench.save()
    into = {"/data": bench.where / "out", "/new": bench.where / "new"}
    await bench.vault.restore("demo", "u-1", saved.id, into)
    assert os.listdir(bench.where / "new") == []


# -- the store fails, the disk fails, the caller gives up -----------------------------------------


@pytest.mark.parametrize("step", ["before create /p/", "after create /p/", "before create /m/"])
async def test_a_save_that_fails_leaves_the_old_one_good(bench: Bench, step: str) -> None:
    old = await bench.save()
    before = facts(bench.where / "data")
    plant(bench.where / "data", {"sub/big": BIG[::-1]})
    bench.store.plan = [step]
    with pytest.raises(DependencyAway, match="failed"):
        await bench.save(old.id, epoch=2)
    assert bench.store.plan == []
    assert await listed(bench.store, "demo/u-1/m/") == [f"demo/u-1/m/{old.id}"]
    assert facts(await bench.restore(old.id)) == before
    new = await bench.save(old.id, epoch=2)
    assert facts(await bench.restore(new.id)) == facts(bench.where / "data")


@pytest.mark.parametrize("part", ["/m/", "/p/"])
async def test_a_store_that_is_away_at_a_restore_is_said_and_may_pass(
    bench: Bench, part: str
) -> None:
    saved = await bench.save()
    bench.store.plan = [f"before read {part}"]
    with pytest.raises(DependencyAway):
        await bench.restore(saved.id)
    assert bench.leftovers() == []
    assert facts(await bench.restore(saved.id)) == facts(bench.where / "data")


@pytest.mark.parametrize("step", ["hang create /p/", "hang create /m/", "hang read /m/"])
async def test_a_cancelled_save_promotes_nothing_and_holds_nothing(bench: Bench, step: str) -> None:
    old = await bench.save()
    plant(bench.where / "data", {"sub/big": BIG[::-1]})
    descriptors = len(os.listdir("/dev/fd"))
    bench.store.plan = [step]
    async with asyncio.TaskGroup() as group:
        save = group.create_task(bench.save(old.id, epoch=2), name="save")
        await bench.store.hung.wait()
        save.cancel()
        with pytest.raises(asyncio.CancelledError):
            await save
    assert len(os.listdir("/dev/fd")) == descriptors
    assert await listed(bench.store, "demo/u-1/m/") == [f"demo/u-1/m/{old.id}"]


@pytest.mark.parametrize("step", ["hang read /m/", "hang read /p/"])
async def test_a_cancelled_restore_leaves_nothing(bench: Bench, step: str) -> None:
    saved = await bench.save()
    descriptors = len(os.listdir("/dev/fd"))
    bench.store.plan = [step]
    async with asyncio.TaskGroup() as group:
        restore = group.create_task(bench.restore(saved.id), name="restore")
        await bench.store.hung.wait()
        restore.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restore
    assert bench.leftovers() == [] and len(os.listdir("/dev/fd")) == descriptors


async def test_cancelled_at_any_moment_a_restore_is_whole_or_nothing(bench: Bench) -> None:
    plant(bench.where / "data", {f"more/{n}": BIG[n:] for n in range(12)})
    saved = await bench.save()
    chance = random.Random(3)
    for n in range(15):
        out = bench.where / f"out-{n}"
        try:
            async with asyncio.timeout(chance.uniform(0, 0.06)):
                await bench.vault.restore("demo", "u-1", saved.id, {"/data": out})
        except TimeoutError:
            assert bench.leftovers() == []
        else:
            assert facts(out) == facts(bench.where / "data")
            remove_tree(out)


async def test_a_directory_that_is_not_there_is_said(bench: Bench) -> None:
    roots = {"/data": bench.where / "nowhere"}
    with pytest.raises(SnapshotFailed, match="No such file"):
        await bench.vault.save(owner(), roots, parent=None)
    assert await listed(bench.store, "") == []


async def test_a_place_that_is_in_use_is_refused_and_kept(bench: Bench) -> None:
    saved = await bench.save()
    plant(bench.where / "mine", {"file": b"mine"})
    into = {"/data": bench.where / "mine"}
    with pytest.raises(SnapshotFailed):
        await bench.vault.restore("demo", "u-1", saved.id, into)
    assert bench.leftovers() == ["mine"] and os.listdir(bench.where / "mine") == ["file"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_store_is_said_and_the_old_snapshot_stays_good(
    bench: Bench, tiny_disk: Path
) -> None:
    vault = Vault(LocalStore(tiny_disk / "store"), KEYS, None)
    small = plant(bench.where / "small", {"f": b"small"})
    old = await vault.save(owner(), {"/data": small}, parent=None)
    plant(small, {"f": random.Random(2).randbytes(2_000_000)})
    with pytest.raises(DependencyAway, match="no space is left"):
        await vault.save(owner(2), {"/data": small}, parent=old.id)
    restored = bench.where / "restored"
    await vault.restore("demo", "u-1", old.id, {"/data": restored})
    assert (restored / "f").read_bytes() == b"small"
    await vault.close()


async def test_a_full_worker_is_said_and_left_clean(bench: Bench, tiny_disk: Path) -> None:
    plant(bench.where / "data", {"more": random.Random(2).randbytes(2_000_000)})
    saved = await bench.save()
    into = {"/data": tiny_disk / "out"}
    with pytest.raises(SnapshotFailed, match="No space left"):
        await bench.vault.restore("demo", "u-1", saved.id, into)
    assert os.listdir(tiny_disk) == []


SAVE_FOR_EVER = """
import asyncio, random, sys
from pathlib import Path
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.vault import SnapshotOwner, Vault
from placement.model import ActorId

async def main(where, epoch, parent):
    vault = Vault(LocalStore(where / "store"), Keys(bytes(32)), where / "cache", 3_000_000)
    while True:
        epoch += 1
        (where / "data" / "count").write_text(str(epoch))
        (where / "data" / "big").write_bytes(random.Random(epoch).randbytes(300_000))
        owner = SnapshotOwner(actor=ActorId("demo", "c1"), uid="u-1", epoch=epoch)
        saved = await vault.save(owner, {"/data": where / "data"}, parent=parent)
        parent = saved.id
        print(parent, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None))
"""


def save_until_killed(where: Path, epoch: int, parent: str | None, wait_s: float) -> list[str]:
    """The ids a process reported as saved before SIGKILL met it, `wait_s` after the first."""
    program = [sys.executable, "-c", SAVE_FOR_EVER, str(where), str(epoch), parent or ""]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as saver:
        assert saver.stdout is not None
        ids = [saver.stdout.readline().strip()]
        with suppress(subprocess.TimeoutExpired):
            saver.wait(wait_s)
        saver.kill()
        return ids + saver.stdout.read().split()


async def test_a54_killed_at_any_moment_what_was_reported_saved_is_good(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    vault = Vault(LocalStore(tmp_path / "store"), KEYS, None)
    chance, parent, epoch = random.Random(54), None, 0
    for _ in range(4):
        wait_s = chance.uniform(0, 0.05)
        ids = await asyncio.to_thread(save_until_killed, tmp_path, epoch, parent, wait_s)
        for snapshot_id in ids:
            epoch = int(snapshot_id.partition("-")[0])
            out = tmp_path / f"out-{epoch}"
            await vault.restore("demo", "u-1", snapshot_id, {"/data": out})
            told = facts(out)
            assert (told["count"][3], told["big"][3]) == (
                str(epoch).encode(),
                random.Random(epoch).randbytes(300_000),
            )
        parent = ids[-1]
    await vault.close()


# -- parents, caches, deleting --------------------------------------------------------------------


async def test_a_parent_that_cannot_be_read_costs_space_and_no_more(bench: Bench) -> None:
    old = await bench.save()
    bench.object(Home("demo", "u-1").manifest(old.id)).write_bytes(b"damaged")
    new = await bench.save(old.id)
    assert new.objects == 2
    assert facts(await bench.restore(new.id)) == facts(bench.where / "data")


async def test_a_warm_cache_needs_no_store(bench: Bench) -> None:
    bench.vault = Vault(bench.store, KEYS, bench.where / "cache", 10_000_000)
    saved = await bench.save()
    bench.store.calls.clear()
    assert facts(await bench.restore(saved.id)) == facts(bench.where / "data")
    assert bench.store.calls == []


async def test_a_damaged_cache_costs_a_read_never_a_wrong_file(bench: Bench) -> None:
    bench.vault = Vault(bench.store, KEYS, bench.where / "cache", 10_000_000)
    saved = await bench.save()
    for path in (bench.where / "cache").iterdir():
        body = bytearray(path.read_bytes())
        body[len(body) // 2] ^= 1
        path.write_bytes(body)
    for reads in (2, 0):
        bench.store.calls.clear()
        assert facts(await bench.restore(saved.id)) == facts(bench.where / "data")
        assert bench.store.calls == ["read"] * reads


async def test_verify_looks_past_the_cache(bench: Bench) -> None:
    bench.vault = Vault(bench.store, KEYS, bench.where / "cache", 10_000_000)
    saved = await bench.save()
    assert (await bench.vault.verify("demo", "u-1", saved.id)).objects == 2
    (key,) = await listed(bench.store, "demo/u-1/p/")
    body = bytearray(bench.object(key).read_bytes())
    body[1000] ^= 1
    bench.object(key).write_bytes(body)
    with pytest.raises(SnapshotRefused, match=key):
        await bench.vault.verify("demo", "u-1", saved.id)


async def test_deleting_an_actor_removes_its_objects_and_no_others(bench: Bench) -> None:
    saved = await bench.save()
    roots = {"/data": bench.where / "data"}
    await bench.vault.save(owner(uid="u-11"), roots, parent=None)
    bench.store.plan = ["before remove /p/"]
    with pytest.raises(DependencyAway):
        await bench.vault.delete_actor("demo", "u-1")
    assert await bench.vault.delete_actor("demo", "u-1") == 1
    assert await bench.vault.delete_actor("demo", "u-1") == 0
    assert len(await listed(bench.store, "demo/u-11/")) == 2
    assert "missing" in await refused(bench, saved.id)


async def test_many_actors_are_saved_and_restored_side_by_side(bench: Bench) -> None:
    async def cycle(n: int) -> None:
        root = plant(bench.where / "data" / f"in-{n}", {"f": b"%d" % n, "big": BIG[n:]})
        saved = await bench.vault.save(owner(uid=f"u-{n}"), {"/data": root}, parent=None)
        out = bench.where / "data" / f"out-{n}"
        await bench.vault.restore("demo", f"u-{n}", saved.id, {"/data": out})
        assert facts(out) == facts(root)

    await asyncio.gather(*(cycle(n) for n in range(20)))


async def test_s3_a_snapshot_goes_to_a_bucket_and_back(s3_endpoint: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/{secrets.token_hex(6)}?endpoint={s3_endpoint}&region=x")
    vault = Vault(store, KEYS, None)
    root = plant(tmp_path / "in", {"f": b"x" * 5000, "big": BIG * 40})
    small = plant(tmp_path / "small", {"f": b"x" * 5000})
    saved = await vault.save(owner(), {"/data": root}, parent=None)
    await vault.restore("demo", "u-1", saved.id, {"/data": tmp_path / "out"})
    assert facts(tmp_path / "out") == facts(root)
    one = await vault.save(owner(uid="u-2"), {"/data": small}, parent=None)
    restored = await vault.restore("demo", "u-2", one.id, {"/data": tmp_path / "small-out"})
    assert (one.objects, restored.objects) == (1, 1)
    await vault.close()


# Memory ---------------------------------------------------------------------------------------

TERMS = {"version": ("1",), "processor": ("avx", "sse")}


def draw(where: Path, seed: int, pages: int = 700) -> Path:
    """An image such as a runtime writes."""
    where.mkdir()
    (where / "pages.img").write_bytes(random.Random(seed).randbytes(pages * PAGE_BYTES))
    (where / "checkpoint.img").write_bytes(b"state" * 2000)
    write_terms(where, TERMS)
    return where


async def test_memory_comes_back_with_the_files_and_only_new_pages_are_written(
    bench: Bench,
) -> None:
    plant(bench.where / "data", {"file": b"kept"})
    image = draw(bench.where / "image", seed=1)
    roots = {"/data": bench.where / "data"}
    first = await bench.vault.save(owner(), roots, parent=None, image=image)
    pages = (image / "pages.img").read_bytes()
    moved = pages[300 * PAGE_BYTES :] + pages[: 300 * PAGE_BYTES] + os.urandom(PAGE_BYTES)
    (image / "pages.img").write_bytes(moved)
    second = await bench.vault.save(owner(2), roots, parent=first.id, image=image)
    assert second.bytes_written < first.bytes_written / 10

    memory = Memory(directory=bench.where / "out" / "image", offers=TERMS)
    out = {"/data": bench.where / "out" / "data"}
    restored = await bench.vault.restore("demo", "u-1", second.id, out, memory=memory)
    assert restored.has_image and (memory.directory / "pages.img").read_bytes() == moved
    assert facts(out["/data"]) == facts(bench.where / "data")
    assert (memory.directory / "checkpoint.img").read_bytes() == b"state" * 2000


async def test_memory_that_cannot_go_on_here_is_refused_by_name_or_left_out_when_told_so(
    bench: Bench,
) -> None:
    plant(bench.where / "data", {"file": b"kept"})
    image = draw(bench.where / "image", seed=2)
    saved = await bench.vault.save(
        owner(), {"/data": bench.where / "data"}, parent=None, image=image
    )
    elsewhere = {**TERMS, "processor": ("sse",)}
    place = bench.where / "out"
    out = {"/data": place / "data"}
    for memory in (None, Memory(directory=place / "image", offers=elsewhere)):
        with pytest.raises(SnapshotRefused, match=f"{saved.id}.*its (version|processor) is"):
            await bench.vault.restore("demo", "u-1", saved.id, out, memory=memory)
        assert not place.exists()
    files = Memory(directory=place / "image", offers=elsewhere, or_files=True)
    restored = await bench.vault.restore("demo", "u-1", saved.id, out, memory=files)
    assert not restored.has_image and os.listdir(place) == ["data"]
    assert facts(out["/data"]) == facts(bench.where / "data")


async def test_a_damaged_page_is_refused_and_nothing_is_restored(bench: Bench) -> None:
    plant(bench.where / "data", {"file": b"kept"})
    image = draw(bench.where / "image", seed=3)
    saved = await bench.vault.save(
        owner(), {"/data": bench.where / "data"}, parent=None, image=image
    )
    packs = [path for path in (bench.where / "store").rglob("p/*") if path.is_file()]
    big = max(packs, key=lambda path: path.stat().st_size)
    body = bytearray(big.read_bytes())
    body[len(body) // 2] ^= 1
    big.write_bytes(body)
    place = bench.where / "out"
    memory = Memory(directory=place / "image", offers=TERMS)
    with pytest.raises(SnapshotRefused):
        await bench.vault.restore("demo", "u-1", saved.id, {"/data": place / "data"}, memory=memory)
    assert not place.exists() or os.listdir(place) == []


async def test_memory_in_many_parts_is_whole_or_refused_by_name(bench: Bench) -> None:
    plant(bench.where / "data", {"file": BIG})
    image = draw(bench.where / "image", seed=5, pages=6000)
    roots = {"/data": bench.where / "data"}
    saved = await bench.vault.save(owner(), roots, parent=None, image=image)
    memory = Memory(directory=bench.where / "out" / "image", offers=TERMS)
    out = {"/data": bench.where / "out" / "data"}
    bench.store.calls.clear()
    await bench.vault.restore("demo", "u-1", saved.id, out, memory=memory)
    assert bench.store.calls.count("read") > 5
    assert (memory.directory / "pages.img").read_bytes() == (image / "pages.img").read_bytes()
    assert facts(out["/data"]) == facts(bench.where / "data")
    pack = max((bench.where / "store" / "demo/u-1/p").iterdir(), key=lambda p: p.stat().st_size)
    good = pack.read_bytes()
    for bad in (good[:14] + b"!" + good[15:], good[:-1000], good[:9_000_000] + b"!" * 9_000_000):
        pack.write_bytes(bad[: len(good)])
        memory = Memory(directory=bench.where / "again" / "image", offers=TERMS)
        again = {"/data": bench.where / "again" / "data"}
        with pytest.raises(SnapshotRefused, match=saved.id):
            await bench.vault.restore("demo", "u-1", saved.id, again, memory=memory)
        assert not memory.directory.exists() and not again["/data"].exists()
