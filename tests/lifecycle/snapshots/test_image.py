"""The files of an image on the disk, there and back."""

import random
from pathlib import Path

import pytest

from lifecycle.snapshots.image import (
    ImageRebuild,
    files_of,
    read_pages,
    read_terms,
    write_terms,
)
from lifecycle.snapshots.manifest import PAGE_BYTES, Image, Pages, Run
from lifecycle.snapshots.threads import Stop, Stopped

PAGE = random.Random(1).randbytes(PAGE_BYTES)
IMAGE = Image(
    {"version": ("1",)},
    (Pages("pages.img", 3 * PAGE_BYTES, (Run(1, 1, 0, 1),)), Pages("state", 5, (Run(0, 1, 1, 0),))),
    (),
)


def test_runs_are_put_in_their_place_and_the_rest_is_zeros(tmp_path: Path) -> None:
    rebuild = ImageRebuild(tmp_path / "image", IMAGE)
    rebuild.lay({1: b"hello".ljust(PAGE_BYTES, b"\0")}, Stop())
    rebuild.fill(0, IMAGE.files[0].runs, bytes(PAGE_BYTES) + PAGE)
    rebuild.place()
    assert (tmp_path / "image" / "pages.img").read_bytes() == bytes(PAGE_BYTES) + PAGE + bytes(
        PAGE_BYTES
    )
    assert (tmp_path / "image" / "state").read_bytes() == b"hello"
    assert read_terms(tmp_path / "image") == IMAGE.terms
    assert list(tmp_path.iterdir()) == [tmp_path / "image"]


def test_discarded_it_leaves_nothing_placed_or_not(tmp_path: Path) -> None:
    for is_placed in (False, True):
        rebuild = ImageRebuild(tmp_path / "image", IMAGE)
        rebuild.lay({}, Stop())
        if is_placed:
            rebuild.place()
        rebuild.discard()
        assert list(tmp_path.iterdir()) == []


def test_a_stop_ends_it(tmp_path: Path) -> None:
    stop = Stop()
    stop.set()
    rebuild = ImageRebuild(tmp_path / "image", IMAGE)
    with pytest.raises(Stopped):
        rebuild.lay({}, stop)
    rebuild.discard()


def test_files_are_read_page_by_page_and_terms_are_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "pages.img").write_bytes(PAGE + b"end")
    write_terms(tmp_path, {"version": ("1",)})
    assert files_of(tmp_path) == {"pages.img": PAGE_BYTES + 3}
    pages = list(read_pages(tmp_path / "pages.img", PAGE_BYTES + 3))
    assert pages == [(0, PAGE), (1, b"end")]


def test_without_terms_there_is_no_image(tmp_path: Path) -> None:
    assert read_terms(tmp_path / "none") is None
