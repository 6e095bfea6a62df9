"""Images are unpacked once, whole or not at all, and a bounded number of bytes of them is kept."""

import asyncio
import os
from pathlib import Path

import pytest

from runtimes.base import RuntimeFailure
from runtimes.layout import ImageRefused
from runtimes.roots import Roots, is_mounted, user_of
from tests.oci_layout import file, layout, tar


async def test_it_is_unpacked_once_for_all_who_ask(tmp_path: Path) -> None:
    image = layout(tmp_path / "image", [tar(file("a", b"1"))])
    roots = Roots(tmp_path / "roots", 1_000_000)
    found = await asyncio.gather(*(roots.get(image) for _ in range(5)))
    assert len({root.path for root in found}) == 1
    assert (found[0].path / "a").read_text() == "1" and (found[0].path / "proc").is_dir()
    inode = found[0].path.stat().st_ino
    again = await Roots(tmp_path / "roots", 1_000_000).get(image)
    assert again.path.stat().st_ino == inode


async def test_one_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "roots", 1_000_000)
    for number, layer in enumerate((file("../x"), file("big", bytes(2_000_000)))):
        image = layout(tmp_path / f"image-{number}", [tar(file("a"), layer)])
        with pytest.raises(RuntimeFailure, match=f"image-{number}"):
            await roots.get(image)
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts")
async def test_the_longest_unused_goes_but_none_that_is_mounted(tmp_path: Path) -> None:
    roots = Roots(tmp_path / "roots", 100_000)
    images = [
        layout(tmp_path / f"image-{n}", [tar(file("a", bytes([n]) * 40_000))]) for n in range(4)
    ]
    first = await roots.get(images[0])
    words = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /mnt && echo on && read x']
    holder = await asyncio.create_subprocess_exec(
        *words, str(first.path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert holder.stdout is not None and await holder.stdout.readline() == b"on\n"
        assert is_mounted(first.path.parent.name)
        second, third = await roots.get(images[1]), await roots.get(images[2])
        assert first.path.exists() and third.path.exists() and not second.path.exists()
    finally:
        await holder.communicate(b"\n")
    await roots.get(images[3])
    assert not first.path.exists()


def test_users_are_looked_up_in_the_image_alone(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("web:x:77:7::/:/bin/sh\nodd\n")
    told = [user_of(tmp_path, user) for user in ("", "0", "5:6", "web", "web:web")]
    assert told == [0, 0, 5, 77, 77]
    (tmp_path / "etc" / "passwd").unlink()
    (tmp_path / "etc" / "passwd").symlink_to("/etc/passwd")
    for user in ("root", "none", "-1"):
        with pytest.raises(ImageRefused, match="no user"):
            user_of(tmp_path, user)
