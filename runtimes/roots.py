"""Roots: images unpacked once per worker, under their digest, only read, shared by all actors.

A cache: bounded in bytes, the longest unused go, but never one that a sandbox still has mounted,
this worker's or one that an earlier worker left (the kernel's mount tables tell).
"""

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from runtimes import procfs
from runtimes.base import RuntimeFailure
from runtimes.layers import Budget, apply
from runtimes.layout import Config, Image, ImageRefused, Layout

log = logging.getLogger(__name__)

PLACES = ("dev", "etc", "proc", "run", "sys", "tmp", "var/tmp")
"""What a sandbox puts something on."""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    path: Path
    config: Config
    user: int
    """Numeric; as the image says."""


class Roots:
    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._limit = limit_bytes
        self._unpacking = asyncio.Lock()
        directory.mkdir(parents=True, exist_ok=True, mode=0o711)
        for path in directory.iterdir():
            if path.name.startswith("."):
                shutil.rmtree(path, ignore_errors=True)

    async def get(self, image: Path) -> Root:
        """Unpacked if need be. Raises RuntimeFailure."""
        try:
            # One at a time: two would only share the disk, and one of the same image is enough.
            async with self._unpacking:
                return await asyncio.to_thread(self._get, image)
        except ImageRefused as error:
            raise RuntimeFailure(f"image {image}: {error}") from error
        except OSError as error:
            why = error.strerror or str(error)
            raise RuntimeFailure(f"image {image}: {why}", retryable=True) from error

    def _get(self, image: Path) -> Root:
        layout = Layout(image)
        try:
            found = layout.image()
            place = self._directory / found.digest.removeprefix("sha256:")
            if not place.is_dir():
                self._unpack(layout, found, place)
            os.utime(place)
        finally:
            layout.close()
        root = place / "root"
        return Root(path=root, config=found.config, user=user_of(root, found.config.user))

    def _unpack(self, layout: Layout, image: Image, place: Path) -> None:
        made = self._directory / f".{secrets.token_hex(8)}"
        root = made / "root"
        try:
            root.mkdir(parents=True)
            made.chmod(0o711)
            root.chmod(0o755)
            budget = Budget(self._limit)
            for layer in image.layers:
                with layout.open(layer.digest) as blob:
                    apply(root, blob, layer.media_type, layer.digest, budget)
            for name in PLACES:
                inner = root / name
                if not inner.is_symlink() and not inner.parent.is_symlink():
                    inner.mkdir(parents=True, exist_ok=True)
            (made / "size").write_text(str(self._limit - budget.bytes))
            made.rename(place)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        log.info("image unpacked", extra={"digest": image.digest})
        self._make_room(place)

    def _make_room(self, newest: Path) -> None:
        known = sorted(self._known(), key=lambda each: each[1])
        total = sum(size for _, _, size in known)
        for path, _, size in known:
            if total <= self._limit:
                return
            if path != newest and not is_mounted(path.name):
                # Under another name first: whoever looks finds it whole or not at all.
                gone = path.with_name(f".{secrets.token_hex(8)}")
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
                total -= size

    def _known(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._directory.iterdir():
            if not path.name.startswith("."):
                yield path, path.stat().st_mtime, int((path / "size").read_text())


def user_of(root: Path, user: str) -> int:
    """The number of `name`, `name:group`, `uid` or `uid:gid`. Raises ImageRefused."""
    name = user.partition(":")[0] or "0"
    if name.isdigit() and int(name) < 1 << 30:
        return int(name)
    accounts = root / "etc" / "passwd"
    if not accounts.is_symlink() and not (root / "etc").is_symlink() and accounts.is_file():
        for line in accounts.read_text(errors="replace").splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 2 and fields[2].isdigit():
                return int(fields[2])
    raise ImageRefused(f"it has no user {name[:80]!r}")


def is_mounted(name: str) -> bool:
    """Does any process have it in its mounts?"""
    for pid in procfs.PROC.iterdir():
        if pid.name.isdigit():
            try:
                if name in (pid / "mountinfo").read_text():
                    return True
            except OSError:
                continue
    return False
