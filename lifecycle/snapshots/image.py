"""The files of an image on the disk: read page by page, and built again beside their place. Blocks.

What is in them is a runtime's business; here they are pages, and what they need to go on (terms).
"""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.manifest import PAGE_BYTES, Image, Run
from lifecycle.snapshots.threads import Stop

TERMS = "terms.json"
"""Beside the image's own files: what it needs, so that a kept image can be judged without a
manifest."""

Terms = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where a wake wants an image, and what can go on there."""

    directory: Path
    """Absent until then."""
    offers: Terms
    or_files: bool = False
    """An image that cannot go on here is left out, and the program starts anew from its files;
    else the snapshot is refused."""
    is_fit: bool = False
    """It is known to be able to go on here."""


def write_terms(directory: Path, terms: Terms) -> None:
    (directory / TERMS).write_bytes(msgspec.json.encode(terms))


def read_terms(directory: Path) -> dict[str, tuple[str, ...]] | None:
    """None when there is no image."""
    try:
        return msgspec.json.decode(
            (directory / TERMS).read_bytes(), type=dict[str, tuple[str, ...]]
        )
    except (OSError, msgspec.DecodeError):
        return None


def files_of(directory: Path) -> dict[str, int]:
    """The image's files and their sizes, in a fixed order."""
    found = sorted(path for path in directory.iterdir() if path.name != TERMS)
    return {path.name: path.stat().st_size for path in found}


def read_pages(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """(number, page) of a file that nobody changes; holes are passed over."""
    with path.open("rb", buffering=0) as file:
        for offset in range(0, size, CHUNK_BYTES):
            block = os.pread(file.fileno(), CHUNK_BYTES, offset)
            first = offset // PAGE_BYTES
            for at in range(0, len(block), PAGE_BYTES):
                yield first + at // PAGE_BYTES, block[at : at + PAGE_BYTES]


class ImageRebuild:
    """`lay`, `fill` from several threads, `place`; or `discard`, which leaves nothing."""

    def __init__(self, place: Path, image: Image) -> None:
        self._place = place
        self._image = image
        self._beside = place.with_name(f".{place.name}.{secrets.token_hex(6)}.restoring")
        self._is_placed = False
        self._files: list[int] = []

    def lay(self, inline: Mapping[int, bytes], stop: Stop) -> None:
        self._beside.mkdir(mode=0o700, parents=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        for number, file in enumerate(self._image.files):
            stop.check()
            self._files.append(os.open(self._beside / file.name, flags, 0o600))
            os.ftruncate(self._files[-1], file.size)
            for run in file.runs:
                if run.chunk in inline:
                    self.fill(number, [run], inline[run.chunk])
        write_terms(self._beside, self._image.terms)

    def fill(self, number: int, runs: Sequence[Run], chunk: bytes) -> None:
        size = self._image.files[number].size
        view = memoryview(chunk)
        for run in runs:
            offset = run.page * PAGE_BYTES
            data = view[run.at * PAGE_BYTES : (run.at + run.count) * PAGE_BYTES]
            # The last page was filled up; the file ends where it ended.
            _write(self._files[number], data[: max(0, size - offset)], offset)

    def place(self) -> None:
        self._close()
        os.rename(self._beside, self._place)
        self._is_placed = True

    def discard(self) -> None:
        self._close()
        shutil.rmtree(self._place if self._is_placed else self._beside, ignore_errors=True)

    def _close(self) -> None:
        while self._files:
            os.close(self._files.pop())


def _write(file: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data = data[written:]
        offset += written
