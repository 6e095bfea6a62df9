"""What a snapshot shares with its parent, what it writes, and what travels inline."""

import random

import pytest

from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import Chunk, Manifest, Pack
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.packs import (
    INLINE_BYTES,
    PACK_BYTES,
    Packer,
    PackReader,
    Parcel,
    Span,
    shareable,
    spans,
)
from lifecycle.snapshots.seal import HEAD_BYTES, Damaged

HOME = Home("demo", "u-1")
KEYS = Keys(bytes(32)).of("demo")


def chunk(n: int, size: int = CHUNK_BYTES) -> bytes:
    return random.Random(n).randbytes(size)


def packer(shared: dict[bytes, tuple[Pack, Chunk]] | None = None) -> Packer:
    return Packer(HOME, KEYS, 1, shared or {})


def manifest_of(made: Packer) -> Manifest:
    packs, chunks, inline = made.contents()
    return Manifest(
        namespace="demo",
        uid="u-1",
        epoch=1,
        name=new_name(1),
        parent=None,
        packs=packs,
        chunks=chunks,
        inline=inline,
        roots={},
    )


def parcel_of(made: Packer) -> Parcel:
    parcel = made.last()
    assert parcel is not None
    return parcel


def test_little_travels_inline_and_more_makes_a_pack() -> None:
    small, large = packer(), packer()
    small.add(chunk(1, INLINE_BYTES))
    large.add(chunk(1, INLINE_BYTES + 1))
    assert small.last() is None
    assert manifest_of(small).inline == chunk(1, INLINE_BYTES)
    assert parcel_of(large).key.startswith("demo/u-1/p/1-")
    assert manifest_of(large).inline == b""


def test_equal_chunks_are_stored_once() -> None:
    made = packer()
    assert [made.add(chunk(n)) for n in (1, 2, 1, 2, 1)] == [0, 1, 0, 1, 0]
    assert len(parcel_of(made).body) < 3 * CHUNK_BYTES


def test_what_is_in_a_pack_can_be_read_from_it() -> None:
    made = packer()
    for n in range(4):
        made.add(chunk(n))
    parcel = parcel_of(made)
    manifest = manifest_of(made)
    reader = PackReader(KEYS, parcel.key, Span.whole(manifest.packs[0]), parcel.body)
    assert [reader.chunk(c) for c in manifest.chunks] == [chunk(n) for n in range(4)]


@pytest.mark.parametrize("limit", [1, CHUNK_BYTES * 2, CHUNK_BYTES * 99])
def test_a_pack_can_be_read_in_parts_that_hold_what_is_wanted(limit: int) -> None:
    made = packer()
    for n in range(6):
        made.add(chunk(n))
    parcel = parcel_of(made)
    chunks = manifest_of(made).chunks
    wanted = [chunks[n] for n in (5, 1, 2)]
    parts = spans(wanted, limit)
    assert parts[0].start == 0 and all(part.end <= len(parcel.body) for part in parts)
    head = parcel.body[:HEAD_BYTES]
    readers = [
        PackReader(KEYS, parcel.key, part, parcel.body[part.start : part.end], head)
        for part in parts
    ]
    for each, n in zip(wanted, (5, 1, 2), strict=True):
        (reader,) = [reader for reader in readers if reader.has(each)]
        assert reader.pages(each) == chunk(n)
    with pytest.raises(Damaged, match="instead of"):
        PackReader(KEYS, parcel.key, parts[-1], b"", head)


def test_a_pack_is_bounded() -> None:
    made = packer()
    added = 0
    while not made.is_full:
        made.add(chunk(added))
        added += 1
    assert added * CHUNK_BYTES <= PACK_BYTES < (added + 1) * CHUNK_BYTES
    made.pack()
    assert not made.is_full


def test_a_child_names_its_parents_packs_and_writes_only_what_is_new() -> None:
    parent = packer()
    for n in range(8):
        parent.add(chunk(n))
    body = parcel_of(parent)
    child = packer(shareable(manifest_of(parent)))
    for n in (7, 100, 0):
        child.add(chunk(n))
    parcel = parcel_of(child)
    manifest = manifest_of(child)
    assert len(parcel.body) < 2 * CHUNK_BYTES
    readers = {
        HOME.pack(pack.name): PackReader(
            KEYS,
            HOME.pack(pack.name),
            Span.whole(pack),
            {body.key: body, parcel.key: parcel}[key].body,
        )
        for pack in manifest.packs
        for key in [HOME.pack(pack.name)]
    }
    got = [readers[HOME.pack(manifest.packs[c.pack].name)].chunk(c) for c in manifest.chunks]
    assert got == [chunk(7), chunk(100), chunk(0)]


def test_what_is_left_in_a_pack_hardly_used_is_written_anew() -> None:
    parent = packer()
    for n in range(16):
        parent.add(chunk(n))
    parcel_of(parent)
    manifest = manifest_of(parent)
    few = manifest_of(parent)
    kept = tuple(c for c in few.chunks[:3])
    assert len(shareable(manifest)) == 16
    few = Manifest(
        **{name: getattr(manifest, name) for name in Manifest.__struct_fields__} | {"chunks": kept}
    )
    assert shareable(few) == {}


def test_inline_chunks_are_not_shared_for_their_manifest_may_go() -> None:
    made = packer()
    made.add(b"small")
    assert made.last() is None
    assert shareable(manifest_of(made)) == {}


@pytest.mark.parametrize("place", ["head", "box", "length", "swapped"])
def test_a_damaged_pack_is_refused_by_name(place: str) -> None:
    made = packer()
    for n in range(2):
        made.add(chunk(n))
    parcel = parcel_of(made)
    pack = manifest_of(made).packs[0]
    first, second = manifest_of(made).chunks
    body = bytearray(parcel.body)
    if place == "head":
        body[14] ^= 1
    elif place == "box":
        body[HEAD_BYTES + 100] ^= 1
    elif place == "length":
        del body[-1]
    else:
        first = Chunk(second.id, *[getattr(first, f) for f in Chunk.__struct_fields__[1:]])
    with pytest.raises(Damaged, match=parcel.key):
        PackReader(KEYS, parcel.key, Span.whole(pack), bytes(body)).pages(first)


def test_many_small_packs_are_gathered_so_that_a_wake_reads_few() -> None:
    parent: Manifest | None = None
    pieces: list[bytes] = []
    for turn in range(20):
        made = packer(shareable(parent) if parent is not None else None)
        pieces.append(chunk(1000 + turn))
        for piece in pieces:
            made.add(piece)
        made.last()
        parent = manifest_of(made)
        assert len(parent.packs) <= 8 and len(parent.chunks) == turn + 1
