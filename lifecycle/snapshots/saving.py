"""Saving: one pass over an actor's directories that hands out packs as they fill. Blocks."""

import logging
from collections.abc import Generator, Mapping
from pathlib import Path

from lifecycle.snapshots import manifest as manifests
from lifecycle.snapshots.manifest import Entry, Manifest
from lifecycle.snapshots.packs import Packer, Parcel
from lifecycle.snapshots.seal import MANIFEST, Seal
from lifecycle.snapshots.threads import Stop
from lifecycle.snapshots.tree import Found, TreeUnfit, read_pieces, walk

log = logging.getLogger(__name__)


class Saving:
    """The state of one save between its packs. Used by one thread at a time."""

    def __init__(self, packer: Packer, directories: Mapping[str, Path]) -> None:
        self.skipped = 0
        self._packer = packer
        self._entries: dict[str, list[Entry]] = {root: [] for root in directories}
        self._steps = self._gather(directories)

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

    def manifest(self, name: str, parent: str | None) -> tuple[Manifest, Parcel]:
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
        )
        # The same check that a restore makes: what could not be read back is not promoted (P2).
        manifests.check(manifest)
        plain = manifests.encode(manifest)
        if len(plain) > manifests.MANIFEST_LIMIT:
            raise TreeUnfit("too many files for one snapshot")
        key = home.manifest(name)
        seal = Seal.new(self._packer.keys, key, MANIFEST)
        return manifest, Parcel(key, seal.head + seal.shut(0, plain))

    def close(self) -> None:
        """Let go of the open directories."""
        self._steps.close()
