"""The kernel's words for files (FUSE, protocol 7.31): how a request is read, how answered. Pure.

A guest's kernel asks in them; what is asked for is in `runtimes/shares.py`.
"""

import errno
import os
import struct
from enum import IntEnum
from typing import NamedTuple

MAJOR, MINOR = 7, 31
MOST_BYTES = 128 << 10
"""Of a file in one request; the guest's side has the same number."""
FOREVER_S = 86_400
"""Nobody but the guest changes its files while it runs, so what it knows of them stays true."""


class Op(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    RENAME2 = 45


class Set(IntEnum):
    """Of SETATTR: what to change."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8


KEEP_CACHE = 1 << 1
"""Of OPEN's answer: what the guest has of the file from before is still right."""

_HEAD = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")
_ATTR_HEAD = struct.Struct("<QII")
_DIRENT = struct.Struct("<QQII")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_STATFS = struct.Struct("<QQQQQIIII24x")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
IO = struct.Struct("<QQIIQII")
"""Of READ and WRITE: handle, offset, size, flags, lock owner, open flags."""

# ASYNC_READ, ATOMIC_O_TRUNC, BIG_WRITES, PARALLEL_DIROPS, MAX_PAGES, CACHE_SYMLINKS
_FLAGS = 1 << 0 | 1 << 3 | 1 << 5 | 1 << 18 | 1 << 22 | 1 << 23


class Refused(Exception):
    """Answered with this error number."""

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Ask(NamedTuple):
    op: int
    unique: int
    node: int
    body: memoryview

    def number(self, at: int = 0) -> int:
        """A 64-bit one."""
        return int.from_bytes(self.body[at : at + 8], "little")

    def small(self, at: int = 0) -> int:
        """A 32-bit one."""
        return int.from_bytes(self.body[at : at + 4], "little")

    def names(self, at: int = 0) -> list[bytes]:
        """Those that follow, each with a zero byte behind it."""
        return bytes(self.body[at:]).split(b"\0")[:-1]


def read(message: bytes) -> Ask:
    """Raises ValueError for what no kernel would send."""
    if len(message) < _HEAD.size:
        raise ValueError("a request is shorter than its head")
    size, op, unique, node, *_ = _HEAD.unpack_from(message)
    if size != len(message):
        raise ValueError("a request is not as long as it says")
    return Ask(op, unique, node, memoryview(message)[_HEAD.size :])


def answer(ask: Ask, body: bytes = b"") -> bytes:
    return _OUT.pack(_OUT.size + len(body), 0, ask.unique) + body


def refusal(ask: Ask, number: int) -> bytes:
    return _OUT.pack(_OUT.size, -(number or errno.EIO), ask.unique)


def init() -> bytes:
    pages = MOST_BYTES // 4096
    return _INIT_OUT.pack(MAJOR, MINOR, MOST_BYTES, _FLAGS, 16, 12, MOST_BYTES, 1, pages, 0, 0)


def attributes(node: int, about: os.stat_result) -> bytes:
    return _ATTR_HEAD.pack(FOREVER_S, 0, 0) + _attr(node, about)


def entry(node: int, about: os.stat_result) -> bytes:
    return _ENTRY.pack(node, 0, FOREVER_S, FOREVER_S, 0, 0) + _attr(node, about)


def nothing() -> bytes:
    """In place of an entry: there is none of this name, and that stays so too."""
    return _ENTRY.pack(0, 0, FOREVER_S, 0, 0, 0) + bytes(_ATTR.size)


def _attr(node: int, about: os.stat_result) -> bytes:
    times = [divmod(ns, 10**9) for ns in (about.st_atime_ns, about.st_mtime_ns, about.st_ctime_ns)]
    return _ATTR.pack(
        *(node, about.st_size, about.st_blocks),
        *(second % 2**64 for second, _ in times),
        *(ns for _, ns in times),
        *(about.st_mode, about.st_nlink, about.st_uid, about.st_gid, 0, 4096, 0),
    )


def opened(handle: int, flags: int = 0) -> bytes:
    return struct.pack("<QII", handle, flags, 0)


def dirent(inode: int, offset: int, kind: int, name: bytes) -> bytes:
    made = _DIRENT.pack(inode, offset, len(name), kind) + name
    return made + b"\0" * (-len(made) % 8)


def space(found: os.statvfs_result) -> bytes:
    return _STATFS.pack(
        *(found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree),
        *(found.f_bsize, 255, found.f_frsize, 0),
    )
