"""The vault: saves an actor's directories as a snapshot, and brings one back, whole or not at all.

Here alone the stores' and the disk's errors become lifecycle's. Decisions about what is shared,
what a manifest may say and where a file may lie are in the modules below.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lifecycle.errors import DependencyAway, SnapshotFailed, SnapshotRefused
from lifecycle.snapshots import borrowing
from lifecycle.snapshots.base import ObjectExists, ObjectMissing, Store, StoreError
from lifecycle.snapshots.cache import Cache
from lifecycle.snapshots.image import Memory
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import Image, Manifest, ManifestInvalid
from lifecycle.snapshots.names import Home, InvalidSnapshotId, new_name, parse_key
from lifecycle.snapshots.newest import Kept, Unreadable, newest
from lifecycle.snapshots.packs import Packer, PackReader, Parcel, Span, shareable
from lifecycle.snapshots.pages import known_pages, missing
from lifecycle.snapshots.parallel import each, stream
from lifecycle.snapshots.rebuild import Owner
from lifecycle.snapshots.restoring import Restoring, open_manifest
from lifecycle.snapshots.saving import Saving
from lifecycle.snapshots.seal import HEAD_BYTES, Damaged
from lifecycle.snapshots.threads import Stop, Threads
from lifecycle.snapshots.tree import TreeUnfit
from placement.model import ActorId, InvalidName

log = logging.getLogger(__name__)

T = TypeVar("T")

SAVE_LIMIT_S = 900.0
"""A save gives up after this; the collector's grace is longer, so it never meets a live one."""
_PARALLEL = 4
"""Packs under way at once in one save or restore: bounds memory at four packs."""
_PART_BYTES = 4 << 20
"""Of a pack of pages, in one request."""
_SAVERS = 4
_RESTORERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOwner:
    """Who saves: the actor and the epoch in which this worker owns it."""

    actor: ActorId
    uid: str
    epoch: int
    template: str = ""
    """Its name, for who must make the record anew from what is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    id: str
    bytes_total: int
    """Of the files, holes included."""
    bytes_written: int
    """To the store: what was new, compressed and sealed, and the manifest."""
    objects: int
    files: int
    skipped: int
    """Sockets, FIFOs and devices, which no snapshot keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    bytes_total: int
    bytes_read: int
    """From the store; 0 when all of it was in the cache."""
    objects: int
    files: int
    has_image: bool = False


class Vault:
    """Every snapshot of every actor in one store. Safe for many actors at once; one save or
    restore of the same actor at a time is the caller's care."""

    def __init__(
        self, store: Store, keys: Keys, cache_dir: Path | None, cache_limit_bytes: int = 0
    ) -> None:
        self._store = store
        self._keys = keys
        self._cache = None if cache_dir is None else Cache(cache_dir, cache_limit_bytes)
        # Apart, so that no wake stands behind saves that read a disk.
        self._savers = Threads(_SAVERS, "vault-save")
        self._restorers = Threads(_RESTORERS, "vault-restore")

    async def close(self) -> None:
        """Wait for work under way and close the store."""
        for threads in (self._savers, self._restorers):
            await asyncio.to_thread(threads.close)
        await self._store.close()

    async def check(self) -> None:
        """Raise DependencyAway unless the store can be written to now."""
        with _translated("the store"):
            await self._store.check()

    # -- saving ---------------------------------------------------------------------------------

    async def save(
        self,
        owner: SnapshotOwner,
        directories: Mapping[str, Path],
        *,
        parent: str | None,
        image: Path | None = None,
    ) -> Saved:
        """Save the directories (by their declared paths), whose files nobody changes meanwhile,
        and with `image` (a directory with the files of one and its terms) the program as it is.

        Durable when it returns. Raises SnapshotFailed (the files), DependencyAway (the store).
        """
        with _translated(f"a snapshot of {owner.actor}"):
            home = Home(owner.actor.namespace, owner.uid)
            async with asyncio.timeout(SAVE_LIMIT_S):
                return await self._save(home, owner, directories, parent, image)

    async def _save(
        self,
        home: Home,
        owner: SnapshotOwner,
        directories: Mapping[str, Path],
        parent: str | None,
        image: Path | None,
    ) -> Saved:
        keys = self._keys.of(home.namespace)
        before = await self._parent(home, parent)
        shared = shareable(before) if before is not None else {}
        packer = Packer(home, keys, owner.epoch, shared)
        saving = Saving(packer, directories, image, known_pages(before, shared))
        try:
            written = await self._write_packs(saving)
            name = new_name(owner.epoch)
            whose = (owner.actor.name, owner.template)
            manifest, parcel = await self._savers.run(
                lambda _: saving.manifest(name, parent, *whose)
            )
        finally:
            saving.close()
        # Last, and only now: before it there is no snapshot, after it there is a whole one.
        await self._write(parcel)
        written.append(len(parcel.body))
        if saving.skipped:
            log.info(
                "files that no snapshot can hold were skipped",
                extra={"namespace": home.namespace, "uid": home.uid, "skipped": saving.skipped},
            )
        return Saved(
            id=name,
            bytes_total=manifest.bytes_total,
            bytes_written=sum(written),
            objects=len(written),
            files=manifest.files,
            skipped=saving.skipped,
        )

    async def _parent(self, home: Home, parent: str | None) -> Manifest | None:
        """The snapshot whose packs may be shared. One that cannot be read only costs space."""
        if parent is None:
            return None
        owner, name = home.find(parent)
        try:
            if owner != home:
                return await borrowing.borrow(self._store, self._keys, owner, name, home)
            return await self._manifest(owner, name, _Meter())
        except (Damaged, ManifestInvalid, ObjectMissing) as error:
            log.warning(
                "parent snapshot cannot be read, so the new one shares nothing with it",
                extra={"namespace": home.namespace, "uid": home.uid, "why": str(error)},
            )
            return None

    async def _write_packs(self, saving: Saving) -> list[int]:
        written: list[int] = []

        async def parcels() -> AsyncGenerator[Parcel, None]:
            while (parcel := await self._savers.run(saving.next_parcel)) is not None:
                written.append(len(parcel.body))
                yield parcel

        await each(parcels(), self._write, limit=_PARALLEL)
        return written

    async def _write(self, parcel: Parcel) -> None:
        await self._store.create(parcel.key, parcel.body)
        if (cache := self._cache) is not None:
            await self._savers.run(lambda _: cache.put(parcel.key, parcel.body))

    async def fork(
        self, namespace: str, uid: str, snapshot_id: str, to_uid: str, to_name: str = ""
    ) -> str:
        """A snapshot of `to_uid` that is this one of `uid`'s: nothing but a manifest is written,
        and what both hold is kept while either lives. Its id. Raises as `restore` does."""
        with _translated(f"snapshot {snapshot_id} of {namespace}/{uid}"):
            home, name = Home(namespace, uid).find(snapshot_id)
            async with asyncio.timeout(SAVE_LIMIT_S):
                to = Home(namespace, to_uid)
                return await borrowing.fork(self._store, self._keys, home, name, to, to_name)

    # -- restoring ------------------------------------------------------------------------------

    async def restore(
        self,
        namespace: str,
        uid: str,
        snapshot_id: str,
        into: Mapping[str, Path],
        *,
        owner: Owner | None = None,
        memory: Memory | None = None,
    ) -> Restored:
        """Make the directories (each absent or empty until then) what the snapshot holds, and its
        image where `memory` says, if it has one that can go on there.

        All of it, or nothing is touched. A declared path that the snapshot does not know becomes an
        empty directory. Raises SnapshotRefused, SnapshotFailed (the disk here), DependencyAway.
        """
        with _translated(f"snapshot {snapshot_id} of {namespace}/{uid}"):
            home, name = Home(namespace, uid).find(snapshot_id)
            meter = _Meter()
            manifest = await self._manifest(home, name, meter)
            undeclared = sorted(manifest.roots.keys() - into.keys())
            if undeclared:
                # Leaving it out would lose it at the next save.
                raise ManifestInvalid(f"it holds {undeclared}, which the template does not declare")
            image = None
            if manifest.image is not None:
                image = _judge(manifest.image, memory or Memory(directory=Path(), offers={}))
            restoring = Restoring(manifest, into, owner, image)
            try:
                await self._restorers.run(restoring.lay)
                await self._fill(home, manifest, restoring, meter)
                await self._restorers.run(restoring.finish)
            except BaseException:
                await self._restorers.run_surely(restoring.discard)
                raise
            return meter.restored(manifest, has_image=image is not None)

    async def _fill(
        self, home: Home, manifest: Manifest, restoring: Restoring, meter: "_Meter"
    ) -> None:
        keys = self._keys.of(home.namespace)
        heads: dict[str, asyncio.Future[bytes]] = {}

        async def fill(step: tuple[int, Span | None]) -> None:
            number, span = step
            pack = manifest.packs[number]
            key = home.pack(pack.name)
            if span is None:

                def use(body: bytes, stop: Stop) -> None:
                    reader = PackReader(keys, key, Span.whole(pack), body)
                    restoring.fill(number, reader, stop)

                await self._use(key, use, meter)
                return
            body = await self._store.read(key, span.start, span.end - span.start)
            meter.count(body)
            if span.start == 0:
                heads[key].set_result(body[:HEAD_BYTES])
            head = await asyncio.shield(heads[key])

            def use_part(stop: Stop) -> None:
                restoring.fill(number, PackReader(keys, key, span, body, head), stop)

            await self._restorers.run(use_part)

        # An image's pages are soon kept as they are, by who sleeps here again: sealed copies of
        # them beside that would cost this wake time and push out what others share. So they are
        # read in parts, and one is opened while the next ones are under way.
        steps: list[tuple[int, Span | None]] = []
        for number in restoring.packs:
            key = home.pack(manifest.packs[number].name)
            if number not in restoring.image_packs or self._is_cached(key):
                steps.append((number, None))
                continue
            # The first part has the head, which opens the others: it is always under way first.
            heads[key] = asyncio.get_running_loop().create_future()
            steps += ((number, span) for span in restoring.spans(number, _PART_BYTES))
        await each(stream(steps), fill, limit=_PARALLEL)

    def _is_cached(self, key: str) -> bool:
        return self._cache is not None and key in self._cache

    async def _manifest(self, home: Home, name: str, meter: "_Meter") -> Manifest:
        keys = self._keys.of(home.namespace)
        return await self._use(
            home.manifest(name), lambda body, _: open_manifest(keys, home, name, body), meter
        )

    async def _use(self, key: str, use: Callable[[bytes, Stop], T], meter: "_Meter") -> T:
        """What `use` makes of the object, from the cache if that copy is good, else the store."""
        if (cache := self._cache) is not None:
            try:
                return await self._restorers.run(lambda stop: use(_cached(cache, key), stop))
            except LookupError:
                pass
            except (Damaged, ManifestInvalid):
                log.warning(
                    "cached snapshot object is damaged, so it is read anew", extra={"object": key}
                )
                cache.drop(key)
        body = await self._store.read(key)
        meter.count(body)
        result = await self._restorers.run(lambda stop: use(body, stop))
        if cache is not None:
            # Only what has opened is kept: a damaged answer of the store may be whole next time.
            await self._restorers.run(lambda _: cache.put(key, body))
        return result

    # -- what is there --------------------------------------------------------------------------

    async def verify(self, namespace: str, uid: str, snapshot_id: str) -> Restored:
        """Read all of a snapshot from the store, past the cache, and check every chunk of it."""
        with _translated(f"snapshot {snapshot_id} of {namespace}/{uid}"):
            home, name = Home(namespace, uid).find(snapshot_id)
            keys = self._keys.of(namespace)
            meter = _Meter()
            body = await self._store.read(home.manifest(name))
            meter.count(body)
            manifest = await self._restorers.run(lambda _: open_manifest(keys, home, name, body))

            async def read(number: int) -> None:
                pack = manifest.packs[number]
                key = home.pack(pack.name)
                body = await self._store.read(key)
                meter.count(body)

                def use(stop: Stop) -> None:
                    reader = PackReader(keys, key, Span.whole(pack), body)
                    for chunk in manifest.chunks:
                        if chunk.pack == number:
                            stop.check()
                            reader.chunk(chunk)

                await self._restorers.run(use)

            await each(stream(range(len(manifest.packs))), read, limit=_PARALLEL)
            return meter.restored(manifest)

    async def snapshots(self, namespace: str, uid: str) -> list[str]:
        """Ids of all that the store has of it, in a fixed order."""
        with _translated(f"the snapshots of {namespace}/{uid}"):
            prefix = f"{Home(namespace, uid).prefix}m/"
            found = [key async for key in self._store.keys(prefix)]
            return sorted(key.removeprefix(prefix) for key in found)

    def newest(self, prefix: str) -> AsyncIterator[Kept | Unreadable]:
        """What is stored of each actor below `prefix`; see `newest`. Raises StoreError."""
        return newest(self._store, self._keys, prefix)

    async def delete_actor(self, namespace: str, uid: str) -> int:
        """Remove everything of the actor but what others borrow, which the collector removes when
        they do so no more; says how many objects that was. May be repeated."""
        with _translated(f"the snapshots of {namespace}/{uid}"):
            home = Home(namespace, uid)
            found = [key async for key in self._store.keys(home.prefix)]
            # Manifests first: interrupted, it leaves packs without a name, never the reverse.
            manifests = [key for key in found if _kind(key) == "m"]
            await each(stream(manifests), self._remove, limit=_PARALLEL)
            # Only now: who borrows from here on finds no manifest any more.
            if [key async for key in self._store.keys(home.marks)]:
                return len(manifests)
            packs = [key for key in found if _kind(key) != "m"]
            await each(stream(packs), self._remove, limit=_PARALLEL)
            return len(found)

    async def _remove(self, key: str) -> None:
        await self._store.remove(key)
        if self._cache is not None:
            self._cache.drop(key)


@dataclass(slots=True)
class _Meter:
    """What was read from the store."""

    bytes_read: int = 0
    objects: int = 0

    def count(self, body: bytes) -> None:
        self.bytes_read += len(body)
        self.objects += 1

    def restored(self, manifest: Manifest, *, has_image: bool = False) -> Restored:
        return Restored(
            bytes_total=manifest.bytes_total,
            bytes_read=self.bytes_read,
            objects=self.objects,
            files=manifest.files,
            has_image=has_image,
        )


def _judge(image: Image, memory: Memory) -> Path | None:
    """Where the image goes; None when the program is to start anew. Raises ManifestInvalid."""
    lacks = "" if memory.is_fit else missing(image.terms, memory.offers)
    if not lacks:
        return memory.directory
    if not memory.or_files:
        raise ManifestInvalid(f"its memory cannot go on here: {lacks}")
    log.warning("memory of a snapshot left out: it cannot go on here", extra={"why": lacks})
    return None


def _cached(cache: Cache, key: str) -> bytes:
    body = cache.get(key)
    if body is None:
        raise LookupError(key)
    return body


def _kind(key: str) -> str:
    parsed = parse_key(key)
    return parsed[1] if parsed is not None else ""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Foreign errors become lifecycle's, once, here; the message names the snapshot (P6)."""
    try:
        yield
    except ObjectMissing as error:
        raise SnapshotRefused(f"{what}: {error} is missing from the store") from error
    except (Damaged, ManifestInvalid, InvalidSnapshotId, InvalidName) as error:
        raise SnapshotRefused(f"{what}: {error}") from error
    except ObjectExists as error:
        raise SnapshotFailed(f"{what}: the name {error} is taken") from error
    except StoreError as error:
        raise DependencyAway(f"{what}: snapshot store: {error}") from error
    except TimeoutError as error:
        raise DependencyAway(f"{what}: gave up after {SAVE_LIMIT_S:.0f} s") from error
    except TreeUnfit as error:
        raise SnapshotFailed(f"{what}: {error}") from error
    except OSError as error:
        # Without the file's name: an actor chose it.
        raise SnapshotFailed(f"{what}: {error.strerror} on this worker") from error
