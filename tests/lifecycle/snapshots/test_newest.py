"""What a store tells of its actors: the newest of each, named where it cannot be read."""

from pathlib import Path

from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.local import LocalStore
from lifecycle.snapshots.newest import Kept, Unreadable, newest
from lifecycle.snapshots.vault import SnapshotOwner, Vault
from placement.model import ActorId

KEYS = Keys(b"k" * 32)


class Site:
    def __init__(self, directory: Path) -> None:
        self.store = LocalStore(directory / "store")
        self.vault = Vault(self.store, KEYS, None)
        self.files = directory / "files"
        self.files.mkdir()

    async def save(
        self, name: str, epoch: int, uid: str = "u1", ns: str = "demo", template: str = "t"
    ) -> str:
        owner = SnapshotOwner(actor=ActorId(ns, name), uid=uid, epoch=epoch, template=template)
        return (await self.vault.save(owner, {"/data": self.files}, parent=None)).id

    async def found(self, prefix: str = "") -> list[Kept | Unreadable]:
        return [each async for each in newest(self.store, KEYS, prefix)]


async def test_the_highest_epoch_is_taken_and_of_one_epoch_what_was_saved_last(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    await site.save("c1", 9)
    first = await site.save("c1", 10)
    last = ""
    (before,) = await site.found()
    assert isinstance(before, Kept) and before.snapshot == first
    now = before
    while now.saved_ms == before.saved_ms:  # two in one millisecond are equally new
        last = await site.save("c1", 10)
        (found,) = await site.found()
        assert isinstance(found, Kept)
        now = found
    assert (now.actor, now.uid, now.epoch) == (ActorId("demo", "c1"), "u1", 10)
    assert (now.snapshot, now.template) == (last, "t")
    await site.vault.close()


async def test_each_actor_of_each_namespace_is_told_and_a_prefix_leaves_others_out(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    for n in range(40):
        await site.save(f"c{n}", 1, uid=f"u{n:02}", ns="demo" if n % 2 else "other")
    assert len(await site.found()) == 40
    told = [each.actor for each in await site.found("demo/") if isinstance(each, Kept)]
    assert len(told) == 20 and {actor.namespace for actor in told} == {"demo"}
    await site.vault.close()


async def test_p6_a_newest_one_that_is_damaged_is_named_and_no_older_one_takes_its_place(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    await site.save("c1", 1)
    name = await site.save("c1", 2)
    (path,) = (tmp_path / "store").rglob(name)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    (found,) = await site.found()
    assert isinstance(found, Unreadable) and found.uid == "u1" and name in found.why
    await site.vault.close()


async def test_one_that_does_not_say_whose_it_is_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.save("c1", 1, template="")
    (found,) = await site.found()
    assert isinstance(found, Unreadable) and "whose it is" in found.why
    await site.vault.close()


async def test_the_key_of_another_installation_opens_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.save("c1", 1)
    (found,) = [each async for each in newest(site.store, Keys(b"x" * 32), "")]
    assert isinstance(found, Unreadable)
    await site.vault.close()
