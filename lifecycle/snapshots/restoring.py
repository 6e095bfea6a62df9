"""Restoring: a checked manifest turned into directories, pack by pack. Blocks; no store."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from lifecycle.snapshots import manifest as manifests
from lifecycle.snapshots.image import ImageRebuild
from lifecycle.snapshots.keys import NamespaceKeys
from lifecycle.snapshots.manifest import Entry, Manifest, ManifestInvalid, Run
from lifecycle.snapshots.names import Home
from lifecycle.snapshots.packs import PackReader, Span, check_chunk, spans
from lifecycle.snapshots.rebuild import Owner, Rebuild
from lifecycle.snapshots.seal import HEAD_BYTES, MANIFEST, Damaged, Seal
from lifecycle.snapshots.threads import Stop


def open_manifest(keys: NamespaceKeys, home: Home, name: str, body: bytes) -> Manifest:
    """Raises Damaged or ManifestInvalid; what it returns is safe to follow and is this one."""
    key = home.manifest(name)
    seal = Seal.read(keys, key, MANIFEST, body)
    try:
        plain = seal.open(0, body[HEAD_BYTES:], manifests.MANIFEST_LIMIT)
    except Damaged as error:
        raise Damaged(f"{key}: {error}") from error
    manifest = manifests.decode(plain)
    if (manifest.namespace, manifest.uid, manifest.name) != (home.namespace, home.uid, name):
        raise ManifestInvalid(f"{key} says it is another snapshot")
    for chunk in manifest.chunks:
        if chunk.is_inline:
            data = manifest.inline[chunk.offset : chunk.offset + chunk.length]
            check_chunk(keys.naming, chunk, data, key)
    return manifest


class Restoring:
    """`lay`, then `fill` from each of `packs` (in any order, several at once), then `finish`;
    or `discard`, which leaves nothing behind."""

    def __init__(
        self,
        manifest: Manifest,
        into: Mapping[str, Path],
        owner: Owner | None,
        image: Path | None = None,
    ) -> None:
        self._manifest = manifest
        self._image = (
            ImageRebuild(image, manifest.image) if image is not None and manifest.image else None
        )
        # A durable directory that the template gained since then begins empty.
        fresh = (Entry(b"", "d", mode=0o755, mtime_ns=time.time_ns()),)
        self._rebuilds = {
            root: Rebuild(place, manifest.roots.get(root, fresh), owner)
            for root, place in into.items()
        }
        self._jobs = self._plan()
        self._image_jobs = self._plan_image()

    def _plan(self) -> Mapping[int, Mapping[tuple[str, bytes], list[tuple[int, int]]]]:
        """Pack -> file -> its pieces there."""
        jobs: dict[int, dict[tuple[str, bytes], list[tuple[int, int]]]] = {}
        for root, entries in self._manifest.roots.items():
            for entry in entries:
                for offset, index in entry.pieces:
                    chunk = self._manifest.chunks[index]
                    if not chunk.is_inline:
                        files = jobs.setdefault(chunk.pack, defaultdict(list))
                        files[root, entry.path].append((offset, index))
        return jobs

    def _plan_image(self) -> Mapping[int, Mapping[int, Mapping[int, list[Run]]]]:
        """Pack -> chunk -> file -> its runs there."""
        jobs: dict[int, dict[int, dict[int, list[Run]]]] = {}
        if self._image is None or self._manifest.image is None:
            return jobs
        for number, file in enumerate(self._manifest.image.files):
            for run in file.runs:
                chunk = self._manifest.chunks[run.chunk]
                if not chunk.is_inline:
                    chunks = jobs.setdefault(chunk.pack, {})
                    chunks.setdefault(run.chunk, {}).setdefault(number, []).append(run)
        return jobs

    @property
    def packs(self) -> tuple[int, ...]:
        return tuple(sorted(self._jobs.keys() | self._image_jobs.keys()))

    @property
    def image_packs(self) -> frozenset[int]:
        """Those that hold pages."""
        return frozenset(self._image_jobs)

    def lay(self, stop: Stop) -> None:
        inline = {
            index: self._manifest.inline[chunk.offset : chunk.offset + chunk.length]
            for index, chunk in enumerate(self._manifest.chunks)
            if chunk.is_inline
        }
        for rebuild in self._rebuilds.values():
            rebuild.lay(inline, stop)
        if self._image is not None:
            self._image.lay(inline, stop)

    def spans(self, pack: int, limit: int) -> list[Span]:
        """What must be read of this pack, in parts of about `limit` bytes."""
        wanted = set(self._image_jobs.get(pack, ()))
        for pieces in self._jobs.get(pack, {}).values():
            wanted |= {index for _, index in pieces}
        return spans((self._manifest.chunks[index] for index in wanted), limit)

    def fill(self, pack: int, reader: PackReader, stop: Stop) -> None:
        """Write everything that lies in what was read of this pack. Done twice is done once."""
        for (root, path), pieces in self._jobs.get(pack, {}).items():
            here = [each for each in pieces if reader.has(self._manifest.chunks[each[1]])]
            if here:
                self._rebuilds[root].fill(path, self._read(here, reader, stop))
        for index, files in self._image_jobs.get(pack, {}).items():
            assert self._image is not None
            chunk = self._manifest.chunks[index]
            if not reader.has(chunk):
                continue
            stop.check()
            data = reader.pages(chunk)
            for number, runs in files.items():
                self._image.fill(number, runs, data)

    def _read(
        self, pieces: list[tuple[int, int]], reader: PackReader, stop: Stop
    ) -> Iterator[tuple[int, bytes]]:
        for offset, index in pieces:
            stop.check()
            yield offset, reader.chunk(self._manifest.chunks[index])

    def finish(self, stop: Stop) -> None:
        filled: dict[str, set[bytes]] = defaultdict(set)
        for files in self._jobs.values():
            for root, path in files:
                filled[root].add(path)
        for root, rebuild in self._rebuilds.items():
            rebuild.finish(frozenset(filled[root]), stop)
        stop.check()
        for rebuild in self._rebuilds.values():
            rebuild.place()
        if self._image is not None:
            self._image.place()

    def discard(self) -> None:
        for rebuild in self._rebuilds.values():
            rebuild.discard()
        if self._image is not None:
            self._image.discard()
