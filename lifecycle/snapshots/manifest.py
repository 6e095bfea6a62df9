"""The manifest: what one snapshot holds, as records, and the check that makes it safe to follow.

No I/O. `decode` returns only manifests whose every path, number and length was checked, so who
restores one never leaves its directory by a name it says. Format: docs/snapshots.md.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from lifecycle.snapshots.chunks import CHUNK_BYTES, ID_BYTES
from lifecycle.snapshots.names import Home, is_pack_name

MANIFEST_LIMIT = 256 * 1024 * 1024
"""Bytes of an unpacked manifest: some millions of files. Bounds what a restore may allocate."""
PAGE_BYTES = 4096
PAGE_ID_BYTES = 16
_IMAGE_LIMIT = 1 << 40
MODE_MASK = 0o1777
"""setuid and setgid do not survive: a snapshot is not a way to smuggle them to a host."""


class ManifestInvalid(ValueError):
    """It opened, but says what no vault of this version writes."""


class Pack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    """`uid:name` where it lies with another actor of the namespace (a fork's source, a golden)."""
    size: int


class Chunk(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    id: bytes
    length: int
    pack: int
    """Index in `packs`; -1: in `inline`, plain."""
    number: int
    """Of its box in the pack."""
    offset: int
    stored: int
    """Bytes of the box."""

    @property
    def is_inline(self) -> bool:
        return self.pack < 0


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    path: bytes
    kind: Literal["d", "f", "l", "h"]
    mode: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: bytes = b""
    pieces: tuple[tuple[int, int], ...] = ()
    """(offset, index in `chunks`), ascending; what no piece covers is a hole."""


class Run(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Pages that follow each other in a file and in a chunk."""

    page: int
    count: int
    chunk: int
    """Index in `chunks`."""
    at: int
    """The first one's number in the chunk."""


class Pages(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One file of an image. What no run covers is zeros."""

    name: str
    size: int
    runs: tuple[Run, ...]


class Image(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A program as it was: what a runtime wrote of its memory, and what that needs to go on."""

    terms: Mapping[str, tuple[str, ...]]
    files: tuple[Pages, ...]
    pages: tuple[tuple[int, bytes], ...]
    """(index in `chunks`, ids of the pages in it): how a child finds what it shares."""

    @property
    def bytes_total(self) -> int:
        return sum(file.size for file in self.files)


class Manifest(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    namespace: str
    uid: str
    epoch: int
    name: str
    parent: str | None
    packs: tuple[Pack, ...]
    chunks: tuple[Chunk, ...]
    inline: bytes
    roots: Mapping[str, tuple[Entry, ...]]
    image: Image | None = None
    """None: files only (scope `data`)."""
    actor: str = ""
    """The actor's name in its namespace; with `template` and `saved_ms` what a table that was lost
    is made anew from."""
    template: str = ""
    saved_ms: int = 0
    """Unix milliseconds by the clock of whoever saved it."""

    @property
    def bytes_total(self) -> int:
        files = sum(e.size for entries in self.roots.values() for e in entries)
        return files + (self.image.bytes_total if self.image is not None else 0)

    @property
    def files(self) -> int:
        return sum(1 for entries in self.roots.values() for e in entries if e.kind == "f")


def owners(manifest: Manifest) -> frozenset[Home]:
    """Who holds the packs that it names, beside itself."""
    home = Home(manifest.namespace, manifest.uid)
    return frozenset(home.find(pack.name)[0] for pack in manifest.packs) - {home}


def seen_by(manifest: Manifest, home: Home) -> Manifest:
    """The same with its packs named as `home` must name them."""
    own = Home(manifest.namespace, manifest.uid)

    def renamed(pack: Pack) -> Pack:
        owner, name = own.find(pack.name)
        return Pack(name if owner == home else f"{owner.uid}:{name}", pack.size)

    return msgspec.structs.replace(manifest, packs=tuple(map(renamed, manifest.packs)))


_decoder = msgspec.msgpack.Decoder(Manifest)
_encoder = msgspec.msgpack.Encoder()


def encode(manifest: Manifest) -> bytes:
    return _encoder.encode(manifest)


def decode(data: bytes) -> Manifest:
    """Raises ManifestInvalid, which says what is wrong."""
    try:
        manifest = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestInvalid(f"it cannot be read: {error}") from error
    check(manifest)
    return manifest


def check(manifest: Manifest) -> None:
    """Raise ManifestInvalid unless every number and every path may be followed blindly."""
    for pack in manifest.packs:
        _require(is_pack_name(pack.name) and pack.size > 0, "it names a pack that cannot be")
    for chunk in manifest.chunks:
        _check_chunk(manifest, chunk)
    for entries in manifest.roots.values():
        _check_root(manifest, entries)
    if manifest.image is not None:
        _check_image(manifest, manifest.image)


def _check_image(manifest: Manifest, image: Image) -> None:
    names = [file.name for file in image.files]
    _require(len(set(names)) == len(names), "the image has a file twice")
    for file in image.files:
        _require(is_safe_component(file.name.encode()), "the image has a file without a name")
        _require(0 <= file.size <= _IMAGE_LIMIT, "the image has a file of a size that cannot be")
        end, last = 0, -(-file.size // PAGE_BYTES)
        for run in file.runs:
            _require(run.page >= end and run.count > 0, "the image's pages are out of order")
            _require(0 <= run.chunk < len(manifest.chunks), "the image has a chunk of no name")
            pages = manifest.chunks[run.chunk].length // PAGE_BYTES
            _require(0 <= run.at <= pages - run.count, "the image has pages beyond their chunk")
            end = run.page + run.count
        _require(end <= last, "the image has pages beyond their file")
    for index, ids in image.pages:
        _require(0 <= index < len(manifest.chunks), "the image knows pages of no chunk")
        pages = manifest.chunks[index].length // PAGE_BYTES
        _require(len(ids) == pages * PAGE_ID_BYTES, "the image knows more pages than there are")


def _check_chunk(manifest: Manifest, chunk: Chunk) -> None:
    _require(len(chunk.id) == ID_BYTES, "a chunk id has the wrong length")
    _require(0 < chunk.length <= CHUNK_BYTES, "a chunk has a length that cannot be")
    _require(-1 <= chunk.pack < len(manifest.packs), "a chunk is in a pack that is not named")
    _require(chunk.number >= 0 and chunk.offset >= 0, "a chunk has a negative place")
    room = len(manifest.inline) if chunk.is_inline else manifest.packs[chunk.pack].size
    taken = chunk.length if chunk.is_inline else chunk.stored
    _require(taken > 0 and chunk.offset + taken <= room, "a chunk reaches beyond its object")


def _check_root(manifest: Manifest, entries: tuple[Entry, ...]) -> None:
    _require(bool(entries) and entries[0].path == b"", "a root does not begin with itself")
    _require(entries[0].kind == "d", "a root is no directory")
    seen: dict[bytes, str] = {b"": "d"}
    for entry in entries[1:]:
        parent, slash, name = entry.path.rpartition(b"/")
        _require(is_safe_component(name), "a path has a component that is not a name")
        _require(bool(parent) == bool(slash), "a path is absolute")
        # The parent must be an earlier directory *of this manifest*: so it is one that the restore
        # made itself, never a link, and by induction every component above was checked as well.
        _require(seen.get(parent) == "d", "a path lies in what is no directory")
        _require(entry.path not in seen, "a path is there twice")
        _check_entry(manifest, entry, seen)
        seen[entry.path] = entry.kind


def _check_entry(manifest: Manifest, entry: Entry, seen: Mapping[bytes, str]) -> None:
    _require(entry.mode == entry.mode & MODE_MASK, "a mode has bits that are not kept")
    _require(entry.kind == "f" or not (entry.pieces or entry.size), "what is no file has contents")
    if entry.kind == "l":
        _require(bool(entry.target) and b"\0" not in entry.target, "a link has no valid target")
    elif entry.kind == "h":
        _require(seen.get(entry.target) == "f", "a hard link leads to no earlier file")
    elif entry.kind == "f":
        end = 0
        for offset, index in entry.pieces:
            _require(0 <= index < len(manifest.chunks), "a file has a chunk that is not named")
            _require(offset >= end and offset % CHUNK_BYTES == 0, "a piece is out of order")
            end = offset + manifest.chunks[index].length
        _require(end <= entry.size, "a piece reaches beyond its file")


def is_safe_component(name: bytes) -> bool:
    return (
        0 < len(name) <= 255
        and name not in (b".", b"..")
        and b"/" not in name
        and b"\0" not in name
    )


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ManifestInvalid(problem)
