"""Tree: walk a directory whose contents an actor chose, and read its files, without being led out.

Every step is taken from an open directory and never through a link (openat, O_NOFOLLOW), so names,
links and races inside cannot make the walk read anything outside. All of it blocks: run in threads.
"""

import errno
import logging
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lifecycle.snapshots.chunks import CHUNK_BYTES, chunk_start, is_hole
from lifecycle.snapshots.manifest import MODE_MASK

log = logging.getLogger(__name__)

DEPTH_LIMIT = 200
"""Nested directories: each costs a descriptor or two while the walk is below it."""
_MTIME_LIMIT = 1 << 62
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking: should a FIFO stand where a file was a moment ago, opening it must not hang.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TreeUnfit(Exception):
    """The directory cannot be kept: it changed under the walk, or is too deep; says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing in a tree. `fd` is open for reading until the walk goes on (files only)."""

    path: bytes
    kind: Literal["d", "f", "l", "h", "other"]
    mode: int
    mtime_ns: int
    size: int = 0
    target: bytes = b""
    fd: int = -1


def walk(root: Path) -> Generator[Found, None, None]:
    """Everything below `root` in a fixed order, a directory before its contents, `root` first.

    Sockets, FIFOs and devices come as `other` and cannot be kept. Close the iterator when done.
    """
    about = os.stat(root, follow_symlinks=False)
    with _opened(root, None, _DIRECTORY, about) as fd:
        yield from _walk(fd, b"", about, {}, 0)


def _walk(
    fd: int, path: bytes, about: os.stat_result, linked: dict[tuple[int, int], bytes], depth: int
) -> Generator[Found, None, None]:
    if depth > DEPTH_LIMIT:
        raise TreeUnfit(f"directories are nested deeper than {DEPTH_LIMIT}")
    yield Found(path=path, kind="d", mode=about.st_mode & MODE_MASK, mtime_ns=_mtime(about))
    with os.scandir(fd) as listing:
        names = sorted(entry.name for entry in listing)
    for name in names:
        below = (path + b"/" if path else b"") + os.fsencode(name)
        about = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(about.st_mode):
            with _opened(name, fd, _DIRECTORY, about) as inner:
                yield from _walk(inner, below, about, linked, depth + 1)
        elif stat.S_ISREG(about.st_mode):
            yield from _file(name, fd, below, about, linked)
        else:
            yield _other(name, fd, below, about)


def _file(
    name: str, fd: int, path: bytes, about: os.stat_result, linked: dict[tuple[int, int], bytes]
) -> Generator[Found, None, None]:
    mode, mtime_ns = about.st_mode & MODE_MASK, _mtime(about)
    inode = (about.st_dev, about.st_ino)
    if about.st_nlink > 1 and inode in linked:
        yield Found(path=path, kind="h", mode=mode, mtime_ns=mtime_ns, target=linked[inode])
        return
    with _opened(name, fd, _FILE, about) as opened:
        now = os.fstat(opened)
        # A size read before the open could be another file's by now.
        if not stat.S_ISREG(now.st_mode) or now.st_size != about.st_size:
            raise TreeUnfit(f"{os.fsdecode(path)!r} changed while it was read")
        if now.st_nlink > 1:
            linked[inode] = path
        yield Found(path=path, kind="f", mode=mode, mtime_ns=mtime_ns, size=now.st_size, fd=opened)
        after = os.fstat(opened)
        if (after.st_size, after.st_mtime_ns) != (now.st_size, now.st_mtime_ns):
            raise TreeUnfit(f"{os.fsdecode(path)!r} changed while it was read")


def _other(name: str, fd: int, path: bytes, about: os.stat_result) -> Found:
    mtime_ns = _mtime(about)
    if not stat.S_ISLNK(about.st_mode):
        return Found(path=path, kind="other", mode=0, mtime_ns=mtime_ns)
    target = os.fsencode(os.readlink(name, dir_fd=fd))
    return Found(path=path, kind="l", mode=0, mtime_ns=mtime_ns, target=target)


def _mtime(about: os.stat_result) -> int:
    # Some file systems take any 64-bit second from utime: such a one must not stop the snapshot.
    return max(-_MTIME_LIMIT, min(_MTIME_LIMIT, about.st_mtime_ns))


@contextmanager
def _opened(name: str | Path, fd: int | None, flags: int, about: os.stat_result) -> Iterator[int]:
    with _widened(name, fd, about):
        opened = os.open(name, flags, dir_fd=fd)
        try:
            yield opened
        finally:
            os.close(opened)


@contextmanager
def _widened(name: str | Path, fd: int | None, about: os.stat_result) -> Iterator[None]:
    """Lend the owner's rights back to an actor of our own user that took them from itself: that
    must not make it unsuspendable. They last while the file or directory is open."""
    needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(about.st_mode) else 0)
    is_fit = about.st_mode & needed == needed
    if is_fit or about.st_uid != os.geteuid() or not hasattr(os, "O_PATH"):
        yield
        return
    # The path descriptor pins the very inode, so no link can be put in its place before the chmod.
    pin = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.chmod(f"/proc/self/fd/{pin}", stat.S_IMODE(about.st_mode) | needed)
        try:
            yield
        finally:
            os.chmod(f"/proc/self/fd/{pin}", stat.S_IMODE(about.st_mode))
    finally:
        os.close(pin)


def read_pieces(found: Found) -> Iterator[tuple[int, bytes]]:
    """The chunks of an open file with their offsets, holes left out; never more than one held."""
    offset = 0
    while offset < found.size:
        offset = _next_data(found.fd, offset)
        if offset >= found.size:
            return
        offset = chunk_start(offset)
        data = _read(found, offset, min(CHUNK_BYTES, found.size - offset))
        if not is_hole(data):
            yield offset, data
        offset += len(data)


def _next_data(fd: int, offset: int) -> int:
    """Where data begins at or after `offset`: a terabyte of hole is skipped in one step."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return 1 << 63
        return offset  # this file system cannot tell: everything is data


def _read(found: Found, offset: int, length: int) -> bytes:
    data = os.pread(found.fd, length, offset)
    while len(data) < length:
        more = os.pread(found.fd, length - len(data), offset + len(data))
        if not more:
            raise TreeUnfit(f"{os.fsdecode(found.path)!r} became shorter while it was read")
        data += more
    return data
