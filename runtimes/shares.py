"""Directories of this machine for a guest: answers its kernel's questions for files. Blocks.

The guest is hostile, its kernel too. A path is only ever followed from a share's own descriptor,
below it and through no link; a name is one name; a share that is not for writing is not written;
and the process that does this has no rights but those of the actor's user.
"""

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from runtimes import fuse
from runtimes.beneath import open_beneath
from runtimes.fuse import Ask, Op, Refused, Set
from runtimes.nodes import ROOT, Node, Nodes

_PASSED = os.O_ACCMODE | os.O_APPEND | os.O_TRUNC | os.O_EXCL | os.O_NONBLOCK | os.O_DIRECTORY
MOST_HANDLES = 20_000
_RENAME_NOREPLACE = 1


class Share(NamedTuple):
    """A directory that is open here; the guest sees it by its number in the list."""

    file: int
    may_write: bool


@dataclass(slots=True)
class Handle:
    node: int
    flags: int
    file: int
    listing: tuple[tuple[int, int, bytes], ...] = ()
    """Of a directory, as it was when it was opened."""


class Files:
    """`<Files 2 shares, 40 nodes, 3 handles>`"""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._shares = shares
        self._nodes = Nodes()
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._answers: dict[int, Callable[[Ask], bytes]] = {
            Op.INIT: lambda ask: fuse.init(),
            Op.LOOKUP: self._lookup,
            Op.GETATTR: self._getattr,
            Op.SETATTR: self._setattr,
            Op.READLINK: self._readlink,
            Op.SYMLINK: self._symlink,
            Op.MKNOD: self._mknod,
            Op.MKDIR: self._mkdir,
            Op.UNLINK: lambda ask: self._unlink(ask, is_directory=False),
            Op.RMDIR: lambda ask: self._unlink(ask, is_directory=True),
            Op.RENAME: lambda ask: self._rename(ask, 8, 0),
            Op.RENAME2: lambda ask: self._rename(ask, 16, ask.small(8)),
            Op.LINK: self._link,
            Op.OPEN: self._open,
            Op.READ: self._read,
            Op.WRITE: self._write,
            Op.STATFS: self._statfs,
            Op.RELEASE: self._release,
            Op.RELEASEDIR: self._release,
            Op.FSYNC: self._fsync,
            Op.FSYNCDIR: lambda ask: b"",
            Op.OPENDIR: self._opendir,
            Op.READDIR: self._readdir,
            Op.CREATE: self._create,
            Op.FALLOCATE: self._fallocate,
            Op.DESTROY: lambda ask: b"",
        }

    def __repr__(self) -> str:
        return f"<Files {len(self._shares)} shares, {self._nodes!r}, {len(self._handles)} handles>"

    def answer(self, message: bytes) -> bytes | None:
        """None where none is awaited. Raises ValueError for what no kernel would send."""
        ask = fuse.read(message)
        if ask.op == Op.FORGET:
            self._nodes.forget(ask.node, ask.number())
            return None
        if ask.op == Op.BATCH_FORGET:
            for node, times in struct.iter_unpack("<QQ", ask.body[8 : 8 + 16 * ask.small()]):
                self._nodes.forget(node, times)
            return None
        try:
            known = self._answers.get(ask.op)
            if known is None:
                raise Refused(errno.ENOSYS)
            return fuse.answer(ask, known(ask))
        except Refused as refused:
            return fuse.refusal(ask, refused.number)
        except OSError as error:
            return fuse.refusal(ask, error.errno or errno.EIO)
        except (struct.error, IndexError) as error:
            raise ValueError(f"a request of kind {ask.op} is malformed") from error

    # What an image holds

    def told(self) -> dict[str, Any]:
        """All that a guest's kernel relies on, as plain data."""
        handles = [[number, h.node, h.flags] for number, h in self._handles.items()]
        return {"nodes": self._nodes.told(), "handles": handles}

    def take_up(self, told: dict[str, Any]) -> None:
        """Go on for a guest that was restored. A file without a name had its end with the sandbox:
        who has it open finds it stale."""
        self._nodes.take_up(told["nodes"])
        for node in self._nodes.all():
            self._nodes.found(node, self._seen(node))
        for number, node, flags in told["handles"]:
            self._next_handle = max(self._next_handle, number + 1)
            handle = Handle(node, flags, -1)
            try:
                handle.file = self._opened(node, flags & ~(os.O_TRUNC | os.O_EXCL))
                if flags & os.O_DIRECTORY:
                    handle.listing = tuple(_listing(handle.file))
            except (Refused, OSError):
                handle.file = -1
            self._handles[number] = handle

    def _seen(self, node: Node) -> os.stat_result | None:
        path = self._nodes.path(node)
        if path is None or not 0 <= node.share < len(self._shares):
            return None
        try:
            with self._at(node.share, path) as file:
                return os.fstat(file)
        except OSError:
            return None

    # Names

    def _lookup(self, ask: Ask) -> bytes:
        name = _plain(*ask.names())
        if ask.node == ROOT:
            return self._share_entry(name)
        parent = self._node(ask.node)
        with self._directory(ask.node) as where:
            about = _perhaps(name, where)
        return fuse.nothing() if about is None else self._entry(parent, name, about)

    def _share_entry(self, name: bytes) -> bytes:
        if not name.isdigit() or int(name) >= len(self._shares):
            raise Refused(errno.ENOENT)
        number = int(name)
        about = os.fstat(self._shares[number].file)
        return fuse.entry(self._nodes.meet(number, 0, b"", about).number, about)

    def _entry(self, parent: Node, name: bytes, about: os.stat_result) -> bytes:
        node = self._nodes.meet(parent.share, parent.number, name, about)
        return fuse.entry(node.number, about)

    def _getattr(self, ask: Ask) -> bytes:
        if ask.node == ROOT:
            # A directory like the first of them; nothing in it but their numbers.
            return fuse.attributes(ROOT, os.fstat(self._shares[0].file))
        # With a handle: the file may have lost its name since.
        handle = self._handles.get(ask.number(8)) if ask.small() & 1 else None
        if handle is not None and handle.file >= 0 and handle.node == ask.node:
            return fuse.attributes(ask.node, os.fstat(handle.file))
        with self._itself(ask.node) as file:
            return fuse.attributes(ask.node, os.fstat(file))

    def _setattr(self, ask: Ask) -> bytes:
        self._may_write(ask.node)
        (valid, _, number, size, _, atime, mtime, _, a_ns, m_ns, _, mode, _, uid, gid, _) = (
            fuse.SETATTR.unpack_from(ask.body)
        )
        handle = self._handles.get(number) if valid & Set.FH else None
        if handle is not None and handle.node == ask.node and handle.file >= 0:
            file, is_ours = handle.file, False
        else:
            file, is_ours = self._opened_itself(ask.node), True
        try:
            # By the descriptor's own name: it is this inode, and no link can lead elsewhere.
            name = f"/proc/self/fd/{file}"
            about = os.stat(file)
            if valid & (Set.UID | Set.GID):
                _owned(about, valid, uid, gid)
            if valid & Set.MODE and not stat.S_ISLNK(about.st_mode):
                os.chmod(name, stat.S_IMODE(mode))
            if valid & Set.SIZE:
                os.truncate(name, size)
            if valid & (Set.ATIME | Set.MTIME) and not stat.S_ISLNK(about.st_mode):
                os.utime(name, ns=_times(about, valid, (atime, a_ns), (mtime, m_ns)))
            return fuse.attributes(ask.node, os.stat(file))
        finally:
            if is_ours:
                os.close(file)

    def _readlink(self, ask: Ask) -> bytes:
        with self._itself(ask.node) as file:
            return os.readlink(b"", dir_fd=file)

    def _symlink(self, ask: Ask) -> bytes:
        name, target = ask.names()
        return self._made(ask, name, lambda at: os.symlink(target, name, dir_fd=at))

    def _mknod(self, ask: Ask) -> bytes:
        mode, *_ = struct.unpack_from("<IIII", ask.body)
        (name,) = ask.names(16)
        # A file, a pipe or a socket; a device would be the host's.
        if stat.S_IFMT(mode) not in (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK):
            raise Refused(errno.EPERM)
        return self._made(ask, name, lambda at: os.mknod(name, mode, dir_fd=at))

    def _mkdir(self, ask: Ask) -> bytes:
        mode = stat.S_IMODE(ask.small())
        (name,) = ask.names(8)
        return self._made(ask, name, lambda at: os.mkdir(name, mode, dir_fd=at))

    def _made(self, ask: Ask, name: bytes, make: Callable[[int], None]) -> bytes:
        _plain(name)
        self._may_write(ask.node)
        with self._directory(ask.node) as where:
            make(where)
            about = os.stat(name, dir_fd=where, follow_symlinks=False)
        return self._entry(self._node(ask.node), name, about)

    def _unlink(self, ask: Ask, *, is_directory: bool) -> bytes:
        (name,) = ask.names()
        self._may_write(ask.node)
        with self._directory(ask.node) as where:
            about = os.stat(_plain(name), dir_fd=where, follow_symlinks=False)
            if is_directory:
                os.rmdir(name, dir_fd=where)
            else:
                os.unlink(name, dir_fd=where)
        if is_directory or about.st_nlink <= 1:
            self._nodes.gone(self._node(ask.node).share, about)
        return b""

    def _rename(self, ask: Ask, names_at: int, flags: int) -> bytes:
        there = ask.number()
        old, new = (_plain(name) for name in ask.names(names_at))
        self._may_write(ask.node)
        self._may_write(there)
        if flags & ~_RENAME_NOREPLACE:
            raise Refused(errno.EINVAL)
        share = self._node(ask.node).share
        if self._node(there).share != share:
            raise Refused(errno.EXDEV)
        with self._directory(ask.node) as source, self._directory(there) as target:
            about = os.stat(old, dir_fd=source, follow_symlinks=False)
            replaced = _perhaps(new, target)
            # Nobody else changes these directories, so nothing comes between the two.
            if replaced is not None and flags & _RENAME_NOREPLACE:
                raise Refused(errno.EEXIST)
            os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)
        if replaced is not None and replaced.st_ino != about.st_ino:
            if stat.S_ISDIR(replaced.st_mode) or replaced.st_nlink <= 1:
                self._nodes.gone(share, replaced)
        self._nodes.moved(share, about, there, new)
        return b""

    def _link(self, ask: Ask) -> bytes:
        (name,) = ask.names(8)
        old = self._node(ask.number())
        if self._node(ask.node).share != old.share:
            raise Refused(errno.EXDEV)
        with self._directory(old.parent) as source:
            return self._made(
                ask,
                name,
                lambda at: os.link(
                    old.name, name, src_dir_fd=source, dst_dir_fd=at, follow_symlinks=False
                ),
            )

    # Contents

    def _open(self, ask: Ask) -> bytes:
        flags = ask.small() & _PASSED
        number = self._handle(ask.node, flags, self._opened(ask.node, flags))
        keeps = not self._shares[self._node(ask.node).share].may_write
        return fuse.opened(number, fuse.KEEP_CACHE if keeps else 0)

    def _create(self, ask: Ask) -> bytes:
        flags, mode = struct.unpack_from("<II", ask.body)
        (name,) = ask.names(16)
        self._may_write(ask.node)
        parent = self._node(ask.node)
        wanted = (flags & _PASSED & ~os.O_DIRECTORY) | os.O_CREAT | os.O_NOFOLLOW
        with self._directory(ask.node) as where:
            file = open_beneath(where, _plain(name), wanted, stat.S_IMODE(mode))
        try:
            entry = self._entry(parent, name, os.fstat(file))
        except BaseException:
            os.close(file)
            raise
        node = int.from_bytes(entry[:8], "little")
        return entry + fuse.opened(self._handle(node, flags & _PASSED, file))

    def _read(self, ask: Ask) -> bytes:
        number, offset, size, *_ = fuse.IO.unpack_from(ask.body)
        return os.pread(self._held(number).file, min(size, fuse.MOST_BYTES), offset)

    def _write(self, ask: Ask) -> bytes:
        number, offset, size, *_ = fuse.IO.unpack_from(ask.body)
        handle = self._held(number)
        self._may_write(handle.node)
        data = ask.body[fuse.IO.size : fuse.IO.size + size]
        if handle.flags & os.O_APPEND:
            return struct.pack("<II", os.write(handle.file, data), 0)
        return struct.pack("<II", os.pwrite(handle.file, data, offset), 0)

    def _fsync(self, ask: Ask) -> bytes:
        os.fsync(self._held(ask.number()).file)
        return b""

    def _fallocate(self, ask: Ask) -> bytes:
        number, offset, length, mode, _ = struct.unpack_from("<QQQII", ask.body)
        handle = self._held(number)
        self._may_write(handle.node)
        if mode:
            raise Refused(errno.EOPNOTSUPP)
        os.posix_fallocate(handle.file, offset, length)
        return b""

    def _statfs(self, ask: Ask) -> bytes:
        share = 0 if ask.node == ROOT else self._node(ask.node).share
        return fuse.space(os.fstatvfs(self._shares[share].file))

    def _release(self, ask: Ask) -> bytes:
        handle = self._handles.pop(ask.number(), None)
        if handle is not None and handle.file >= 0:
            os.close(handle.file)
        return b""

    def _opendir(self, ask: Ask) -> bytes:
        if ask.node == ROOT:
            raise Refused(errno.EACCES)
        file = self._opened(ask.node, os.O_RDONLY | os.O_DIRECTORY)
        number = self._handle(ask.node, os.O_DIRECTORY, file)
        self._handles[number].listing = tuple(_listing(file))
        return fuse.opened(number)

    def _readdir(self, ask: Ask) -> bytes:
        number, offset, size, *_ = fuse.IO.unpack_from(ask.body)
        made = b""
        for at, (inode, kind, name) in enumerate(self._held(number).listing[offset:], offset + 1):
            one = fuse.dirent(inode, at, kind, name)
            if len(made) + len(one) > min(size, fuse.MOST_BYTES):
                break
            made += one
        return made

    # What these stand on

    def _node(self, number: int) -> Node:
        node = self._nodes.get(number)
        if node is None:
            raise Refused(errno.ESTALE)
        return node

    def _may_write(self, number: int) -> None:
        if number == ROOT or not self._shares[self._node(number).share].may_write:
            raise Refused(errno.EROFS)

    def _opened(self, number: int, flags: int) -> int:
        node = self._node(number)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC):
            self._may_write(number)
        path = self._nodes.path(node)
        if path is None:
            raise Refused(errno.ESTALE)
        # Without waiting: the host's side of a pipe must not hang for want of its other end.
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        file = open_beneath(self._shares[node.share].file, path, flags)
        if not stat.S_ISREG(kind := os.fstat(file).st_mode) and not stat.S_ISDIR(kind):
            os.close(file)
            raise Refused(errno.EACCES)
        return file

    def _opened_itself(self, number: int) -> int:
        node = self._node(number)
        path = self._nodes.path(node)
        if path is None:
            raise Refused(errno.ESTALE)
        return open_beneath(self._shares[node.share].file, path, os.O_PATH | os.O_NOFOLLOW)

    @contextmanager
    def _itself(self, number: int) -> Iterator[int]:
        """A descriptor of the file and not of what it holds; of a link, not of where it leads."""
        file = self._opened_itself(number)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _directory(self, number: int) -> Iterator[int]:
        if number == ROOT:
            raise Refused(errno.EACCES)
        node = self._node(number)
        path = self._nodes.path(node)
        if path is None:
            raise Refused(errno.ESTALE)
        share = self._shares[node.share].file
        file = open_beneath(share, path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _at(self, share: int, path: bytes) -> Iterator[int]:
        file = open_beneath(self._shares[share].file, path, os.O_PATH | os.O_NOFOLLOW)
        try:
            yield file
        finally:
            os.close(file)

    def _handle(self, node: int, flags: int, file: int) -> int:
        if len(self._handles) >= MOST_HANDLES:
            os.close(file)
            raise Refused(errno.EMFILE)
        number = self._next_handle
        self._next_handle += 1
        self._handles[number] = Handle(node, flags, file)
        return number

    def _held(self, number: int) -> Handle:
        handle = self._handles.get(number)
        if handle is None:
            raise Refused(errno.EBADF)
        if handle.file < 0:
            raise Refused(errno.ESTALE)
        return handle


def _plain(name: bytes) -> bytes:
    """One name, and no way up. A kernel of a guest's may send anything."""
    if not name or name in (b".", b"..") or b"/" in name:
        raise Refused(errno.EINVAL)
    return name


def _owned(about: os.stat_result, valid: int, uid: int, gid: int) -> None:
    if (valid & Set.UID and uid != about.st_uid) or (valid & Set.GID and gid != about.st_gid):
        raise Refused(errno.EPERM)


def _times(
    about: os.stat_result, valid: int, atime: tuple[int, int], mtime: tuple[int, int]
) -> tuple[int, int]:
    # The guest's own clock is the actor's, and it says what it means by now.
    accessed = atime[0] * 10**9 + atime[1] if valid & Set.ATIME else about.st_atime_ns
    modified = mtime[0] * 10**9 + mtime[1] if valid & Set.MTIME else about.st_mtime_ns
    return accessed, modified


def _perhaps(name: bytes, where: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=where, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _listing(file: int) -> Iterator[tuple[int, int, bytes]]:
    with os.scandir(file) as found:
        for each in found:
            about = each.stat(follow_symlinks=False)
            yield about.st_ino, stat.S_IFMT(about.st_mode) >> 12, os.fsencode(each.name)
