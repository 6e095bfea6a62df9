"""Packs: which chunks a new snapshot shares with its parent, which it writes, and how. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lifecycle.snapshots.chunks import CHUNK_BYTES, chunk_id
from lifecycle.snapshots.keys import NamespaceKeys
from lifecycle.snapshots.manifest import PAGE_BYTES, Chunk, Manifest, Pack
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.seal import HEAD_BYTES, PACK, Damaged, Seal

PACK_BYTES = 16 * 1024 * 1024
"""Plain bytes in a pack: bounds one request and what a save holds in memory."""
INLINE_BYTES = 128 * 1024
"""What is new and no more than this travels in the manifest instead."""
_SHARED_PACKS = 128
_SMALL_BYTES = 2 * 1024 * 1024
_SMALL_PACKS = 4
"""Of an actor that changes a little between two sleeps each leaves a small pack. More of them than
this are gathered into one: a wake pays for each object that it reads."""
_USED_FRACTION = 0.25


@dataclass(frozen=True, slots=True)
class Parcel:
    """A pack ready to be written."""

    key: str
    body: bytes


def shareable(parent: Manifest) -> dict[bytes, tuple[Pack, Chunk]]:
    """The parent's chunks that a child may name where they are.

    A pack of which little is in use is left behind: what is live in it is written anew, else a
    changing actor would drag all its past along, and its wake would read it.
    """
    used = [0.0] * len(parent.packs)
    for chunk, live in zip(parent.chunks, _live(parent), strict=True):
        if not chunk.is_inline:
            used[chunk.pack] += chunk.stored * live
    worth = [i for i, pack in enumerate(parent.packs) if used[i] >= pack.size * _USED_FRACTION]
    worth = sorted(worth, key=lambda i: -used[i])[:_SHARED_PACKS]
    small = [i for i in worth if parent.packs[i].size < _SMALL_BYTES]
    kept = set(worth) - set(small[_SMALL_PACKS:])
    return {c.id: (parent.packs[c.pack], c) for c in parent.chunks if c.pack in kept}


def _live(parent: Manifest) -> list[float]:
    """Which part of each chunk is in use: of an image's, the pages that are still named."""
    live = [1.0] * len(parent.chunks)
    if parent.image is not None:
        for index, _ in parent.image.pages:
            live[index] = 0.0
        for file in parent.image.files:
            for run in file.runs:
                pages = parent.chunks[run.chunk].length // PAGE_BYTES
                live[run.chunk] = min(1.0, live[run.chunk] + run.count / pages)
    return live


@dataclass(slots=True)
class Packer:
    """Takes chunks in, gives numbers for them; hands out a pack whenever one is full."""

    home: Home
    keys: NamespaceKeys
    epoch: int
    shared: dict[bytes, tuple[Pack, Chunk]]
    bytes_shared: int = 0
    _index: dict[bytes, int] = field(default_factory=dict)
    _chunks: list[Chunk | None] = field(default_factory=list)
    _packs: dict[str, tuple[int, Pack]] = field(default_factory=dict)
    _waiting: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """(index, id, plain) of new chunks that are in no pack yet."""
    _waiting_bytes: int = 0

    def add(self, data: bytes) -> int:
        """The number of this chunk in the manifest."""
        name = chunk_id(self.keys.naming, data)
        index = self._index.get(name)
        if index is not None:
            return index
        if name in self.shared:
            return self.share(self.shared[name][1])
        index = self._index[name] = len(self._chunks)
        self._chunks.append(None)
        self._waiting.append((index, name, data))
        self._waiting_bytes += len(data)
        return index

    def share(self, chunk: Chunk) -> int:
        """The number of a chunk of the parent's (one in `shared`), whose contents are not needed
        to know it again."""
        index = self._index.get(chunk.id)
        if index is None:
            index = self._index[chunk.id] = len(self._chunks)
            pack, known = self.shared[chunk.id]
            self._chunks.append(_moved(known, self._number_of(pack)))
            self.bytes_shared += known.length
        return index

    @property
    def is_full(self) -> bool:
        return self._waiting_bytes + CHUNK_BYTES > PACK_BYTES

    def pack(self) -> Parcel:
        """Seal what waits into a pack."""
        name = new_name(self.epoch)
        key = self.home.pack(name)
        seal = Seal.new(self.keys, key, PACK)
        boxes = [seal.head]
        offset = HEAD_BYTES
        number = len(self._packs)
        for place, (index, id_, data) in enumerate(self._waiting):
            box = seal.shut(place, data, label=id_)
            self._chunks[index] = Chunk(id_, len(data), number, place, offset, len(box))
            boxes.append(box)
            offset += len(box)
        self._packs[name] = (number, Pack(name, offset))
        self._waiting.clear()
        self._waiting_bytes = 0
        return Parcel(key, b"".join(boxes))

    def last(self) -> Parcel | None:
        """A pack for what still waits, unless it is little enough to travel inline."""
        return self.pack() if self._waiting_bytes > INLINE_BYTES else None

    def contents(self) -> tuple[tuple[Pack, ...], tuple[Chunk, ...], bytes]:
        """Packs, chunks and inline bytes for the manifest. Call it after `last`."""
        offset = 0
        for index, id_, data in self._waiting:
            self._chunks[index] = Chunk(id_, len(data), -1, 0, offset, 0)
            offset += len(data)
        inline = b"".join(data for _, _, data in self._waiting)
        chunks = tuple(chunk for chunk in self._chunks if chunk is not None)
        return tuple(pack for _, pack in self._packs.values()), chunks, inline

    def _number_of(self, pack: Pack) -> int:
        return self._packs.setdefault(pack.name, (len(self._packs), pack))[0]


def _moved(chunk: Chunk, pack: int) -> Chunk:
    return Chunk(chunk.id, chunk.length, pack, chunk.number, chunk.offset, chunk.stored)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a pack: what is read of it at once."""

    start: int
    end: int

    @classmethod
    def whole(cls, pack: Pack) -> "Span":
        return cls(0, pack.size)


def spans(chunks: Iterable[Chunk], limit: int) -> list[Span]:
    """Parts of some `limit` bytes that hold these chunks of one pack, and its head in the first;
    where nobody wants what lies between two of them it is left out."""
    found = [Span(0, HEAD_BYTES)]
    for chunk in sorted(chunks, key=lambda chunk: chunk.offset):
        end = chunk.offset + chunk.stored
        if end - found[-1].start <= limit:
            found[-1] = Span(found[-1].start, end)
        else:
            found.append(Span(chunk.offset, end))
    return found


class PackReader:
    """Opens single chunks of a pack of which a part was read; `head`: its first bytes."""

    def __init__(
        self, keys: NamespaceKeys, key: str, span: Span, body: bytes, head: bytes | None = None
    ) -> None:
        if len(body) != span.end - span.start:
            raise Damaged(f"{key} has {len(body)} bytes instead of {span.end - span.start}")
        self._seal = Seal.read(keys, key, PACK, body if head is None else head)
        self._naming = keys.naming
        self._body = memoryview(body)
        self._span = span
        self._key = key

    def has(self, chunk: Chunk) -> bool:
        return self._span.start <= chunk.offset and chunk.offset + chunk.stored <= self._span.end

    def chunk(self, chunk: Chunk) -> bytes:
        data = self.pages(chunk)
        check_chunk(self._naming, chunk, data, self._key)
        return data

    def pages(self, chunk: Chunk) -> bytes:
        """As `chunk`, without naming it anew, which costs ten times what opening it does: the seal
        holds its id, so it was shut by a writer that had just named it. For images, which a wake
        waits for."""
        at = chunk.offset - self._span.start
        try:
            box = self._body[at : at + chunk.stored]
            return self._seal.open(chunk.number, box, chunk.length, label=chunk.id)
        except Damaged as error:
            raise Damaged(f"a chunk of {self._key}: {error}") from error


def check_chunk(naming: bytes, chunk: Chunk, data: bytes, where: str) -> None:
    """Raise Damaged unless it is what the manifest meant: end to end, whatever lies between."""
    if len(data) != chunk.length or chunk_id(naming, data) != chunk.id:
        raise Damaged(f"a chunk in {where} is not the one that was saved")
