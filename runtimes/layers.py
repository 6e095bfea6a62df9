"""Layers of an image, laid one on the other into a directory that nobody else has yet. Blocks.

A layer is a stranger's: no name leads out of the root, through a link either; links themselves are
kept as they are, for whoever looks from inside. Devices and set-user-id bits are left out, and all
that is written is counted, so that a small layer cannot fill the disk.
"""

import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import zstandard

from runtimes.layout import ImageRefused

_BLOCK = 1 << 20
_HEADER = 1 << 20
"""Of a name or of extended attributes, which tarfile reads whole."""
_LINKS = 40
_DEPTH = 128
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_NO_FOLLOW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Budget:
    """What an image may become, counted down."""

    def __init__(self, size: int, entries: int = 1_000_000) -> None:
        self.bytes = size
        self.entries = entries

    def spend(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0 or self.entries < 0:
            raise ImageRefused("the image is larger than a root may be here")


class _Member(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        made = super().frombuf(buf, encoding, errors)
        is_header = made.type not in tarfile.SUPPORTED_TYPES or made.type in (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
        )
        if is_header and made.size > _HEADER:
            raise ImageRefused("a layer has a header without end")
        return made


class _Checked:
    """A blob read once, whose digest is known at its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def finish(self, digest: str) -> None:
        while self.read(_BLOCK):
            pass
        if self._hash.hexdigest() != digest.removeprefix("sha256:"):
            raise ImageRefused(f"layer {digest} is damaged")


def apply(root: Path, blob: IO[bytes], media_type: str, digest: str, budget: Budget) -> None:
    """Raises ImageRefused, OSError; then the root is to be thrown away."""
    checked = _Checked(blob)
    laid = _Laying(root, budget)
    try:
        with tarfile.open(fileobj=_opened(checked, media_type), mode="r|", tarinfo=_Member) as tar:
            for member in tar:
                laid.add(tar, member)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageRefused(f"layer {digest} cannot be read: {error}") from error
    except zstandard.ZstdError as error:
        raise ImageRefused(f"layer {digest} cannot be decompressed") from error
    checked.finish(digest)


def _opened(blob: _Checked, media_type: str) -> IO[bytes]:
    if media_type.endswith("gzip"):
        return gzip.GzipFile(fileobj=blob, mode="rb")  # type: ignore[call-overload, no-any-return] # reads only
    if media_type.endswith("zstd"):
        return zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True)  # type: ignore[arg-type] # reads only
    if media_type.endswith("tar"):
        return blob  # type: ignore[return-value] # reads only
    raise ImageRefused(f"a layer of type {media_type[:80]!r} is not known")


class _Laying:
    """One layer. Nobody else writes below the root, so what was looked at stays as it was."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = root
        self._budget = budget
        self._made: set[Path] = set()

    def add(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        self._budget.entries -= 1
        self._budget.spend(0)
        if "\0" in member.name + member.linkname:
            raise ImageRefused("a layer has a name that cannot be")
        parts = _parts(member.name)
        if not parts:
            return  # the root itself
        parent = self._directory(self._real(parts[:-1]))
        name = parts[-1]
        if name == _OPAQUE:
            for each in list(parent.iterdir()):
                if each not in self._made:
                    _remove(each)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden in ("", ".", ".."):
                raise ImageRefused("a layer takes away what has no name")
            _remove(parent / hidden)
        else:
            self._make(tar, member, parent / name)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        mode = member.mode & 0o777
        if member.isdir():
            if place.is_symlink() or not place.is_dir():
                _remove(place)
                place.mkdir()
            # Ours to walk and to remove, whatever it says; /tmp stays sticky.
            mode = member.mode & 0o1777 | 0o700
        elif member.issym():
            _remove(place)
            place.symlink_to(member.linkname)
        elif member.islnk():
            self._link(member.linkname, place)
            return
        elif member.isreg():
            _remove(place)
            self._write(tar, member, place)
            mode |= 0o400
        else:
            return  # a device or a FIFO: no actor has one from its image
        if os.geteuid() == 0:
            os.lchown(place, max(0, min(member.uid, 1 << 30)), max(0, min(member.gid, 1 << 30)))
        if not member.issym():
            os.chmod(place, mode)
        self._made.update((place, *place.parents))

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        source = tar.extractfile(member)
        if source is None:
            raise ImageRefused("a layer has a file without contents")
        with open(os.open(place, _NO_FOLLOW, 0o600), "wb") as file:
            while block := source.read(_BLOCK):
                self._budget.spend(len(block))
                file.write(block)

    def _link(self, target: str, place: Path) -> None:
        parts = _parts(target)
        if not parts:
            raise ImageRefused("a layer links to its root")
        first = self._root.joinpath(*self._real(parts[:-1]), parts[-1])
        try:
            if not stat.S_ISREG(first.lstat().st_mode):
                raise ImageRefused("a layer links to what is no file")
        except OSError as error:
            raise ImageRefused("a layer links to what is not there") from error
        if first != place:
            _remove(place)
            os.link(first, place, follow_symlinks=False)
        self._made.update((place, *place.parents))

    def _real(self, parts: Sequence[str]) -> list[str]:
        """These names with the links in them followed, as from inside: never out of the root."""
        rest, done, links = list(reversed(parts)), list[str](), 0
        while rest:
            name = rest.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            place = self._root.joinpath(*done, name)
            if not place.is_symlink():
                done.append(name)
                continue
            links += 1
            if links > _LINKS:
                raise ImageRefused("a layer has links in a circle")
            target = os.readlink(place)
            done = [] if target.startswith("/") else done
            rest += reversed(target.split("/"))
            if len(rest) + len(done) > 2 * _DEPTH:
                raise ImageRefused("a layer is nested too deep")
        return done

    def _directory(self, parts: Sequence[str]) -> Path:
        place = self._root
        for name in parts:
            place = place / name
            if not place.is_dir():
                if os.path.lexists(place):
                    raise ImageRefused("a layer has a file in what is no directory")
                place.mkdir(mode=0o755)
        return place


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ImageRefused(f"a layer names {name[:80]!r}")
    if len(parts) > _DEPTH:
        raise ImageRefused("a layer is nested too deep")
    return parts


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
