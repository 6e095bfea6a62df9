"""Saving: one pass over an actor's directories that hands out packs as they fill. Blocks."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping
from itertools import chain
from pathlib import Path

from lifecycle.snapshots import manifest as manifests
from lifecycle.snapshots.image import files_of, read_pages, read_terms
from lifecycle.snapshots.keys import NamespaceKeys
from lifecycle.snapshots.manifest import Chunk, Entry, Image, Manifest
from lifecycle.snapshots.names import Home
from lifecycle.snapshots.packs import Packer, Parcel
from lifecycle.snapshots.pages import CHUNK_PAGES, Paging
from lifecycle.snapshots.seal import MANIFEST, Seal
from lifecycle.snapshots.threads import Stop
from lifecycle.snapshots.tree import Found, TreeUnfit, read_pieces, walk

log = logging.getLogger(__name__)

Known = tuple[Mapping[bytes, tuple[Chunk, int]], Mapping[bytes, bytes]]
"""What of the parent's image is stored already (pages.known_pages)."""


class Saving:
    """The state of one save between its packs. Used by one thread at a time."""

    def __init__(
        self,
        packer: Packer,
        directories: Mapping[str, Path],
        image: Path | None = None,
        known: Known = ({}, {}),
    ) -> None:
        self.skipped = 0
        self._packer = packer
        self._entries: dict[str, list[Entry]] = {root: [] for root in directories}
        self._image: Image | None = None
        self._files = self._gather(directories)
        self._steps = chain(self._files, self._gather_image(image, known))

    def next_parcel(self, stop: Stop) -> Parcel | None:
        """Read on until a pack is full; None when everything was read."""
        for _ in self._steps:
            stop.check()
            if self._packer.is_full:
                return self._packer.pack()
        return self._packer.last()

    def _gather(self, directories: Mapping[str, Path]) -> Generator[None, None, None]:
        """One chunk, or one entry without any, at each step."""
        for root, directory in directories.items():
            for found in walk(directory):
                pieces: list[tuple[int, int]] = []
                if found.kind == "f":
                    for offset, data in read_pieces(found):
                        pieces.append((offset, self._packer.add(data)))
                        yield
                self._note(root, found, tuple(pieces))
                yield

    def _gather_image(self, image: Path | None, known: Known) -> Iterator[None]:
        """One block of pages at each step."""
        if image is None:
            return
        terms = read_terms(image)
        if terms is None:
            raise TreeUnfit("the image does not say what it needs")
        paging = Paging(self._packer, *known)
        files = files_of(image)
        for name, size in files.items():
            paging.begin()
            for number, page in read_pages(image / name, size):
                paging.add(number, page)
                if number % CHUNK_PAGES == 0:
                    yield
        paging.flush()
        self._image = paging.image(terms, files)

    def _note(self, root: str, found: Found, pieces: tuple[tuple[int, int], ...]) -> None:
        if found.kind == "other":
            self.skipped += 1
            return
        self._entries[root].append(
            Entry(
                path=found.path,
                kind=found.kind,
                mode=found.mode,
                mtime_ns=found.mtime_ns,
                size=found.size,
                target=found.target,
                pieces=pieces,
            )
        )

    def manifest(
        self, name: str, parent: str | None, actor: str = "", template: str = ""
    ) -> tuple[Manifest, Parcel]:
        """The manifest, and it sealed. Call it when `next_parcel` has returned None."""
        packs, chunks, inline = self._packer.contents()
        home = self._packer.home
        manifest = Manifest(
            namespace=home.namespace,
            uid=home.uid,
            epoch=self._packer.epoch,
            name=name,
            parent=parent,
            packs=packs,
            chunks=chunks,
            inline=inline,
            roots={root: tuple(entries) for root, entries in self._entries.items()},
            image=self._image,
            actor=actor,
            template=template,
            saved_ms=time.time_ns() // 1_000_000,
        )
        return manifest, sealed(self._packer.keys, manifest)

    def close(self) -> None:
        """Let go of the open directories."""
        self._files.close()


def sealed(keys: NamespaceKeys, manifest: Manifest) -> Parcel:
    """The manifest as it is written. Raises ManifestInvalid, TreeUnfit."""
    # The same check that a restore makes: what could not be read back is not promoted (P2).
    manifests.check(manifest)
    plain = manifests.encode(manifest)
    if len(plain) > manifests.MANIFEST_LIMIT:
        raise TreeUnfit("too many files for one snapshot")
    key = Home(manifest.namespace, manifest.uid).manifest(manifest.name)
    seal = Seal.new(keys, key, MANIFEST)
    return Parcel(key, seal.head + seal.shut(0, plain))
