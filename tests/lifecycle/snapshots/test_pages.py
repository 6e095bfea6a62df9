"""Pages of an image: found by content wherever they stood, described as runs."""

import random

from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import PAGE_BYTES, Image, Manifest, Run, check
from lifecycle.snapshots.names import Home, new_name
from lifecycle.snapshots.packs import Packer, shareable
from lifecycle.snapshots.pages import CHUNK_PAGES, Paging, known_pages, missing

HOME = Home("demo", "u-1")
KEYS = Keys(bytes(32)).of("demo")
PAGES = [random.Random(n).randbytes(PAGE_BYTES) for n in range(500)]
ZERO = bytes(PAGE_BYTES)


def take(pages: list[bytes], parent: Manifest | None = None) -> tuple[Manifest, int]:
    """A manifest with an image of these pages, and how many bytes of chunks were new."""
    shared = shareable(parent) if parent is not None else {}
    packer = Packer(HOME, KEYS, 1, shared)
    paging = Paging(packer, *known_pages(parent, shared))
    paging.begin()
    for number, page in enumerate(pages):
        paging.add(number, page)
    paging.flush()
    image = paging.image({"version": ("1",)}, {"pages.img": len(pages) * PAGE_BYTES})
    new = packer._waiting_bytes
    packer.last()
    packs, chunks, inline = packer.contents()
    manifest = Manifest(
        namespace="demo",
        uid="u-1",
        epoch=1,
        name=new_name(1),
        parent=None,
        packs=packs,
        chunks=chunks,
        inline=inline,
        roots={},
        image=image,
    )
    check(manifest)
    return manifest, new


def image_of(manifest: Manifest) -> Image:
    assert manifest.image is not None
    return manifest.image


def test_pages_that_follow_each_other_are_one_run() -> None:
    manifest, _ = take(PAGES[:CHUNK_PAGES])
    assert image_of(manifest).files[0].runs == (Run(0, CHUNK_PAGES, 0, 0),)


def test_zeros_are_not_stored_and_equal_pages_are_stored_once() -> None:
    manifest, new = take([PAGES[0], ZERO, PAGES[0], PAGES[1]])
    assert new == 2 * PAGE_BYTES
    assert image_of(manifest).files[0].runs == (Run(0, 1, 0, 0), Run(2, 2, 0, 0))


def test_a_last_page_that_is_short_is_kept() -> None:
    packer = Packer(HOME, KEYS, 1, {})
    paging = Paging(packer, {}, {})
    paging.begin()
    paging.add(0, b"abc")
    paging.flush()
    assert paging.image({}, {"checkpoint.img": 3}).files[0].runs == (Run(0, 1, 0, 0),)


def test_pages_of_the_parent_are_shared_wherever_they_stand_now() -> None:
    first, new = take(PAGES[:400])
    assert new == 400 * PAGE_BYTES
    moved = PAGES[:400]
    random.Random(1).shuffle(moved)
    second, new = take([*moved, *PAGES[400:403]], first)
    assert new == 3 * PAGE_BYTES
    # And a third, which never saw the first, finds what the second had from it.
    third, new = take([*reversed(moved), PAGES[450]], second)
    assert new <= 4 * PAGE_BYTES and {p.name for p in first.packs} <= {p.name for p in third.packs}


def test_a_pack_of_which_few_pages_are_in_use_is_left_behind() -> None:
    first, _ = take(PAGES[:400])
    second, _ = take([*PAGES[:20], *PAGES[400:]], first)
    third, new = take([*PAGES[:20], *PAGES[400:]], second)
    assert new == 20 * PAGE_BYTES
    assert first.packs[0] not in third.packs


def test_pages_that_travelled_inline_are_written_anew() -> None:
    first, _ = take(PAGES[:3])
    assert not first.packs
    assert take(PAGES[:3], first)[1] == 3 * PAGE_BYTES


def test_an_image_goes_on_where_everything_it_needs_is_offered() -> None:
    needs = {"version": ("1",), "processor": ("avx", "sse")}
    assert missing(needs, {"version": ("1",), "processor": ("avx", "avx512", "sse")}) == ""
    assert "processor is avx" in missing(needs, {"version": ("1",), "processor": ("sse",)})
    assert "version is 1, here it is 2" in missing(needs, {**needs, "version": ("2",)})
    assert "not known" in missing(needs, {})
