"""Layers of strangers: nothing they say leaves the root, fills the disk or brings a device."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from runtimes.layers import Budget, apply
from runtimes.layout import ImageRefused
from tests.oci_layout import GZIP, PACK, PLAIN, ZSTD, directory, file, hard_link, link, member, tar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return made


def lay(root: Path, *layers: bytes, size: int = 10_000_000, kind: str = PLAIN) -> Budget:
    budget = Budget(size, entries=1000)
    for each in layers:
        blob = PACK[kind](each)
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        apply(root, io.BytesIO(blob), kind, digest, budget)
    return budget


@pytest.mark.parametrize("kind", [PLAIN, GZIP, ZSTD])
def test_layers_of_each_kind_lie_on_each_other(root: Path, kind: str) -> None:
    one = tar(directory("etc"), file("etc/a", b"1"), file("etc/b", b"1"), link("sbin", "bin"))
    two = tar(file("etc/a", b"2"), file("./bin/sh", b"x", 0o755), hard_link("bin/ash", "bin/sh"))
    budget = lay(root, one, two, kind=kind)
    assert (root / "etc/a").read_text() == "2" and (root / "etc/b").read_text() == "1"
    assert (root / "bin/ash").stat().st_ino == (root / "bin/sh").stat().st_ino
    assert os.readlink(root / "sbin") == "bin" and (root / "bin/sh").stat().st_mode & 0o777 == 0o755
    assert budget.bytes == 10_000_000 - 4


def test_whiteouts_take_away_what_lies_below(root: Path) -> None:
    one = tar(*(file(f"d/{name}", b"1") for name in "abc"), file("x/y/z", b"1"))
    two = tar(file("d/.wh.a"), file("x/new", b"2"), file("x/.wh..wh..opq"), file("d/b", b"2"))
    lay(root, one, two)
    assert sorted(path.name for path in (root / "d").iterdir()) == ["b", "c"]
    assert sorted(path.name for path in (root / "x").iterdir()) == ["new"]


def test_a_link_to_a_directory_is_written_through_as_from_inside(root: Path) -> None:
    lay(root, tar(directory("usr/bin"), link("bin", "/usr/bin")), tar(file("bin/sh", b"x")))
    assert (root / "usr/bin/sh").read_text() == "x" and (root / "bin").is_symlink()


def test_what_was_of_another_kind_is_replaced(root: Path) -> None:
    one = tar(file("a", b"1"), directory("b"), file("b/c", b"1"), link("d", "b"))
    lay(root, one, tar(directory("a"), file("b", b"2"), directory("d")))
    assert (root / "a").is_dir() and (root / "b").read_text() == "2"
    assert (root / "d").is_dir() and not (root / "d").is_symlink()


@pytest.mark.parametrize(
    "layer",
    [
        tar(file("../outside/mark", b"x")),
        tar(file("a/../../outside/mark", b"x")),
        tar(member("a", tarfile.SYMTYPE, pax_headers={"linkpath": "b\0c"}, linkname="b")),
        tar(hard_link("secret", "../outside/secret")),
        tar(file(".wh...")),
        tar(link("a", "b"), link("b", "a"), file("a/x", b"x")),
        tar(file("a", b"x"), file("a/b", b"x")),
        tar(hard_link("a", "dev"), directory("dev")),
        tar(directory("dev"), hard_link("a", "dev")),
    ],
)
def test_a_layer_that_leads_out_or_nowhere_is_refused(root: Path, layer: bytes) -> None:
    with pytest.raises(ImageRefused):
        lay(root, layer)
    assert os.listdir(root.parent / "outside") == ["secret"]


def test_links_out_of_the_root_lead_nothing_out_of_it(root: Path) -> None:
    outside = str(root.parent / "outside")
    lay(
        root,
        tar(link("up", "../outside"), link("abs", outside), link("far", "../../../../../../etc")),
        tar(file("up/mark", b"x"), file("abs/mark", b"x"), file("far/mark", b"x")),
        tar(file("up/.wh.secret"), directory("up/sub")),
    )
    assert os.listdir(outside) == ["secret"]
    assert not Path("/etc/mark").exists() and (root / "etc/mark").read_text() == "x"
    with pytest.raises(ImageRefused):
        lay(root, tar(link("s", f"{outside}/secret"), hard_link("mine", "abs/secret")))
    # A file in place of a link does not write through it.
    lay(root, tar(file("s", b"mine")))
    assert (Path(outside) / "secret").read_text() == "secret"


def test_devices_and_set_user_id_bits_are_left_out(root: Path) -> None:
    node = member("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0)
    fifo = member("pipe", tarfile.FIFOTYPE)
    lay(root, tar(node, fifo, file("su", b"x", 0o6755), directory("tmp", 0o1777)))
    assert sorted(os.listdir(root)) == ["dev", "su", "tmp"] and not os.listdir(root / "dev")
    assert (root / "su").stat().st_mode & 0o7777 == 0o755
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_layer_larger_than_may_be_is_refused_before_it_is_written(root: Path) -> None:
    bomb = tar(file("zeros", bytes(20_000_000)))
    for kind in (GZIP, ZSTD):
        with pytest.raises(ImageRefused, match="larger"):
            lay(root, bomb, size=5_000_000, kind=kind)
    assert sum(path.stat().st_size for path in root.iterdir()) <= 5_000_000
    with pytest.raises(ImageRefused, match="larger"):
        lay(root, tar(*(file(f"f{number}") for number in range(1001))))


def test_a_header_without_end_is_refused(root: Path) -> None:
    name = member("x" * 3_000_000, tarfile.REGTYPE)
    with pytest.raises(ImageRefused, match="header"):
        lay(root, tar(name))


@pytest.mark.parametrize("kind", [PLAIN, GZIP, ZSTD])
def test_a_damaged_layer_is_refused_by_its_digest(root: Path, kind: str) -> None:
    blob = bytearray(PACK[kind](tar(file("a", b"1" * 5000))))
    blob[len(blob) // 2] ^= 1
    with pytest.raises(ImageRefused, match="sha256:0000"):
        apply(root, io.BytesIO(bytes(blob)), kind, "sha256:" + "0" * 64, Budget(1 << 20))
