"""Pages: how an image of memory is described, and which of its pages are stored already. No I/O.

From one image of an actor to the next most pages keep their content and few keep their place. So
pages are found by what they hold, wherever they stood; new ones are gathered into chunks, and an
image is a list of runs of pages in chunks. What no run covers is zeros.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.manifest import (
    PAGE_BYTES,
    PAGE_ID_BYTES,
    Chunk,
    Image,
    Manifest,
    Pages,
    Run,
)
from lifecycle.snapshots.packs import Packer

CHUNK_PAGES = CHUNK_BYTES // PAGE_BYTES
_ZEROS = bytes(PAGE_BYTES)

_Place = tuple[int, int]
"""Number of a chunk, and of a page in it."""


@dataclass(slots=True)
class Paging:
    """Takes pages in, in order; says at the end where each lies. Used by one thread at a time."""

    packer: Packer
    known: Mapping[bytes, tuple[Chunk, int]]
    """Page -> where it lies in the parent."""
    ids: Mapping[bytes, bytes]
    """Chunk id -> ids of its pages, of the chunks that `known` names."""
    _places: dict[bytes, _Place] = field(default_factory=dict)
    """Page -> where it lies; of a page that waits: in the chunk numbered -1 until that is full."""
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_ids: list[bytes] = field(default_factory=list)
    _pages: dict[int, bytes] = field(default_factory=dict)
    _runs: list[list[tuple[int, bytes]]] = field(default_factory=list)
    """Of each file: (page number, page id)."""

    def begin(self) -> None:
        """The pages that follow are another file's."""
        self._runs.append([])

    def add(self, number: int, page: bytes) -> None:
        """A page of the present file; a last one that is shorter is filled up with zeros."""
        if len(page) < PAGE_BYTES:
            page = page.ljust(PAGE_BYTES, b"\0")
        if page == _ZEROS:
            return
        name = blake2b(page, digest_size=PAGE_ID_BYTES, key=self.packer.keys.naming).digest()
        if name not in self._places:
            self._place(name, page)
        self._runs[-1].append((number, name))

    def _place(self, name: bytes, page: bytes) -> None:
        found = self.known.get(name)
        if found is not None:
            chunk, at = found
            index = self.packer.share(chunk)
            self._places[name] = (index, at)
            self._pages[index] = self.ids[chunk.id]
            return
        self._places[name] = (-1, len(self._waiting))
        self._waiting.append(page)
        self._waiting_ids.append(name)
        if len(self._waiting) == CHUNK_PAGES:
            self.flush()

    def flush(self) -> None:
        """Make a chunk of the pages that wait. Called once more when all were added."""
        if not self._waiting:
            return
        index = self.packer.add(b"".join(self._waiting))
        for at, name in enumerate(self._waiting_ids):
            self._places[name] = (index, at)
        self._pages[index] = b"".join(self._waiting_ids)
        self._waiting.clear()
        self._waiting_ids.clear()

    def image(self, terms: Mapping[str, tuple[str, ...]], files: Mapping[str, int]) -> Image:
        """The image, when all pages of these files (name -> size) were added, in this order."""
        return Image(
            terms=terms,
            files=tuple(
                Pages(name, size, tuple(self._merged(pages)))
                for (name, size), pages in zip(files.items(), self._runs, strict=True)
            ),
            pages=tuple(sorted(self._pages.items())),
        )

    def _merged(self, pages: list[tuple[int, bytes]]) -> Iterator[Run]:
        run: Run | None = None
        for number, name in pages:
            chunk, at = self._places[name]
            if run is not None and (chunk, at, number) == (
                run.chunk,
                run.at + run.count,
                run.page + run.count,
            ):
                run = Run(run.page, run.count + 1, run.chunk, run.at)
                continue
            if run is not None:
                yield run
            run = Run(number, 1, chunk, at)
        if run is not None:
            yield run


def known_pages(
    parent: Manifest | None, shared: Mapping[bytes, object]
) -> tuple[dict[bytes, tuple[Chunk, int]], dict[bytes, bytes]]:
    """What of the parent's image a child may name where it is: pages of chunks in `shared`."""
    known: dict[bytes, tuple[Chunk, int]] = {}
    ids: dict[bytes, bytes] = {}
    if parent is None or parent.image is None:
        return known, ids
    for index, names in parent.image.pages:
        chunk = parent.chunks[index]
        if chunk.is_inline or chunk.id not in shared:
            continue
        ids[chunk.id] = names
        for at in range(len(names) // PAGE_ID_BYTES):
            known[names[at * PAGE_ID_BYTES : (at + 1) * PAGE_ID_BYTES]] = (chunk, at)
    return known, ids


def missing(needed: Mapping[str, tuple[str, ...]], offered: Mapping[str, tuple[str, ...]]) -> str:
    """What an image needs and this place does not offer, in words; empty when it can go on here."""
    for name, wanted in needed.items():
        lacks = sorted(set(wanted) - set(offered.get(name, ())))
        if lacks:
            here = ", ".join(offered.get(name, ())) if len(wanted) == 1 else "less"
            return f"its {name} is {', '.join(lacks)[:200]}, here it is {here or 'not known'}"
    return ""
