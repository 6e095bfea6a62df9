"""A manifest that would lead a restore out of its directory, or its memory, is refused."""

from typing import Any

import msgspec
import pytest

from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.manifest import (
    PAGE_BYTES,
    PAGE_ID_BYTES,
    Chunk,
    Entry,
    Image,
    Manifest,
    ManifestInvalid,
    Pack,
    Pages,
    Run,
    decode,
    encode,
)
from lifecycle.snapshots.names import new_name

NAME = new_name(1)
ROOT = Entry(b"", "d", mode=0o755)
SUB = Entry(b"sub", "d", mode=0o755)
FILE = Entry(b"sub/file", "f", mode=0o644, size=5, pieces=((0, 0),))
INLINE = Chunk(bytes(32), 5, -1, 0, 0, 0)


def manifest(*entries: Entry, **other: Any) -> Manifest:
    fields: dict[str, Any] = {
        "namespace": "demo",
        "uid": "u-1",
        "epoch": 1,
        "name": NAME,
        "parent": None,
        "packs": (),
        "chunks": (INLINE,),
        "inline": b"hello",
        "roots": {"/data": entries or (ROOT, SUB, FILE)},
    }
    return Manifest(**{**fields, **other})


def test_what_was_written_is_read() -> None:
    assert decode(encode(manifest())) == manifest()
    assert (manifest().bytes_total, manifest().files) == (5, 1)


@pytest.mark.parametrize(
    "path",
    [
        b"..",
        b"../x",
        b"sub/../../x",
        b"/etc",
        b"sub//x",
        b"sub/",
        b".",
        b"sub/.",
        b"a\0b",
        b"x" * 256,
    ],
)
def test_a_path_that_is_none_is_refused(path: bytes) -> None:
    for kind in ("d", "f", "l"):
        hostile = Entry(path, kind, target=b"x" if kind == "l" else b"")
        with pytest.raises(ManifestInvalid, match="path"):
            decode(encode(manifest(ROOT, SUB, hostile)))


def test_nothing_lies_below_a_link() -> None:
    link = Entry(b"link", "l", target=b"/etc")
    with pytest.raises(ManifestInvalid, match="no directory"):
        decode(encode(manifest(ROOT, link, Entry(b"link/passwd", "f"))))


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ((), "begin with itself"),
        ((SUB,), "begin with itself"),
        ((Entry(b"", "f"),), "no directory"),
        ((Entry(b"", "l", target=b"/etc"),), "no directory"),
        ((ROOT, FILE), "in what is no directory"),
        ((ROOT, SUB, SUB), "twice"),
        ((ROOT, Entry(b"link", "l", target=b"x"), Entry(b"link", "f")), "twice"),
        ((ROOT, Entry(b"s", "f", mode=0o4755)), "mode"),
        ((ROOT, Entry(b"s", "f", mode=0o2755)), "mode"),
        ((ROOT, Entry(b"s", "f", mode=-1)), "mode"),
        ((ROOT, Entry(b"l", "l")), "target"),
        ((ROOT, Entry(b"l", "l", target=b"a\0b")), "target"),
        ((ROOT, Entry(b"h", "h", target=b"../../etc/passwd")), "hard link"),
        ((ROOT, SUB, Entry(b"h", "h", target=b"sub")), "hard link"),
        ((ROOT, Entry(b"l", "l", target=b"x"), Entry(b"h", "h", target=b"l")), "hard link"),
        ((ROOT, Entry(b"f", "f", size=5, pieces=((0, 1),))), "not named"),
        ((ROOT, Entry(b"f", "f", size=5, pieces=((0, -1),))), "not named"),
        ((ROOT, Entry(b"f", "f", size=4, pieces=((0, 0),))), "beyond its file"),
        ((ROOT, Entry(b"f", "f", size=5, pieces=((-CHUNK_BYTES, 0),))), "order"),
        ((ROOT, Entry(b"f", "f", size=9, pieces=((3, 0),))), "order"),
        ((ROOT, Entry(b"f", "f", size=5, pieces=((0, 0), (0, 0)))), "order"),
        ((ROOT, Entry(b"d", "d", size=5, pieces=((0, 0),))), "no file"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(entries: tuple[Entry, ...], problem: str) -> None:
    with pytest.raises(ManifestInvalid, match=problem):
        decode(encode(manifest(roots={"/data": entries})))


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(bytes(31), 5, -1, 0, 0, 0),
        Chunk(bytes(32), 0, -1, 0, 0, 0),
        Chunk(bytes(32), CHUNK_BYTES + 1, -1, 0, 0, 0),
        Chunk(bytes(32), 6, -1, 0, 0, 0),
        Chunk(bytes(32), 5, -1, 0, 1, 0),
        Chunk(bytes(32), 5, -1, 0, -1, 0),
        Chunk(bytes(32), 5, -2, 0, 0, 5),
        Chunk(bytes(32), 5, 1, 0, 0, 5),
        Chunk(bytes(32), 5, 0, -1, 0, 5),
        Chunk(bytes(32), 5, 0, 0, 96, 5),
        Chunk(bytes(32), 5, 0, 0, 0, 0),
    ],
)
def test_a_chunk_that_cannot_be_is_refused(chunk: Chunk) -> None:
    with pytest.raises(ManifestInvalid, match="chunk"):
        decode(encode(manifest(ROOT, packs=(Pack(new_name(1), 100),), chunks=(chunk,))))


@pytest.mark.parametrize("pack", [Pack("../x", 100), Pack(new_name(1), 0), Pack("", 1)])
def test_a_pack_that_cannot_be_is_refused(pack: Pack) -> None:
    with pytest.raises(ManifestInvalid, match="pack"):
        decode(encode(manifest(packs=(pack,))))


def test_an_unknown_field_or_kind_is_refused() -> None:
    plain = msgspec.msgpack.decode(encode(manifest()))
    for change in ({"more": 1}, {"roots": {"/data": [[b"", "x"]]}}, {"epoch": "1"}):
        with pytest.raises(ManifestInvalid, match="cannot be read"):
            decode(msgspec.msgpack.encode({**plain, **change}))
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        decode(b"\xc1")


PAGED = Chunk(bytes(32), 2 * PAGE_BYTES, -1, 0, 0, 0)
ROOM = {"chunks": (PAGED,), "inline": bytes(2 * PAGE_BYTES), "roots": {}}


def image(*runs: Run, size: int = 4 * PAGE_BYTES, name: str = "pages.img", ids: int = 2) -> Image:
    return Image({}, (Pages(name, size, runs),), ((0, bytes(ids * PAGE_ID_BYTES)),))


def test_an_image_is_read_as_it_was_written() -> None:
    one = manifest(**ROOM, image=image(Run(0, 2, 0, 0), Run(3, 1, 0, 1)))
    assert decode(encode(one)) == one and one.bytes_total == 4 * PAGE_BYTES


@pytest.mark.parametrize(
    "bad",
    [
        image(Run(3, 2, 0, 0)),
        image(Run(0, 3, 0, 0)),
        image(Run(0, 1, 0, 2)),
        image(Run(0, 1, 1, 0)),
        image(Run(0, 1, 0, -1)),
        image(Run(0, 0, 0, 0)),
        image(Run(1, 1, 0, 0), Run(1, 1, 0, 1)),
        image(size=-1),
        image(size=1 << 41),
        image(name="../state"),
        image(name=""),
        image(ids=3),
    ],
)
def test_an_image_that_leads_out_of_its_files_is_refused(bad: Image) -> None:
    with pytest.raises(ManifestInvalid):
        decode(encode(manifest(**ROOM, image=bad)))
