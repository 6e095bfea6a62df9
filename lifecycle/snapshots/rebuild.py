"""Rebuild: make a tree as a checked manifest says, beside its place, and put it there when whole.

Whatever the names say, nothing outside is touched: each step is from an open directory that this
rebuild made, and never through a link. All of it blocks: run in threads.
"""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lifecycle.snapshots.manifest import Entry
from lifecycle.snapshots.threads import Stop

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC

Owner = tuple[int, int]
"""uid and gid that the restored files are given."""


class Rebuild:
    """One root. `lay`, then `fill` for contents that come later, then `finish` and `place`; or
    `discard`, which leaves nothing. `fill` may be called by several threads at once. A process that
    is killed leaves a `.<name>.<random>.restoring` beside the place, which is nobody's."""

    def __init__(self, place: Path, entries: tuple[Entry, ...], owner: Owner | None) -> None:
        self._place = place
        self._entries = entries
        self._owner = owner
        self._is_placed = False
        self._beside = place.with_name(f".{place.name}.{secrets.token_hex(6)}.restoring")

    def lay(self, inline: Mapping[int, bytes], stop: Stop) -> None:
        """Make every entry; files whose pieces are all `inline` are whole after it."""
        self._beside.parent.mkdir(parents=True, exist_ok=True)
        self._beside.mkdir(mode=0o700)
        with _open_root(self._beside) as root:
            for entry in self._entries[1:]:
                stop.check()
                with _parent(root, entry.path) as (parent, name):
                    self._make(entry, root, parent, name, inline)

    def _make(
        self, entry: Entry, root: int, parent: int, name: bytes, inline: Mapping[int, bytes]
    ) -> None:
        match entry.kind:
            case "d":
                os.mkdir(name, 0o700, dir_fd=parent)
            case "l":
                os.symlink(entry.target, name, dir_fd=parent)
                os.utime(name, ns=(entry.mtime_ns,) * 2, dir_fd=parent, follow_symlinks=False)
                if self._owner is not None:
                    os.chown(name, *self._owner, dir_fd=parent, follow_symlinks=False)
            case "h":
                with _parent(root, entry.target) as (there, first):
                    os.link(first, name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)
            case "f":
                with _opened(os.open(name, _CREATE, 0o600, dir_fd=parent)) as fd:
                    for offset, index in entry.pieces:
                        if index in inline:
                            _write(fd, inline[index], offset)
                    os.ftruncate(fd, entry.size)
                    if all(index in inline for _, index in entry.pieces):
                        self._dress(fd, entry)

    def fill(self, path: bytes, pieces: Iterator[tuple[int, bytes]]) -> None:
        with (
            _open_root(self._beside) as root,
            _parent(root, path) as (parent, name),
            _opened(os.open(name, _WRITE, dir_fd=parent)) as fd,
        ):
            for offset, data in pieces:
                _write(fd, data, offset)

    def finish(self, filled: frozenset[bytes], stop: Stop) -> None:
        """Give modes, times and owners: to what was `filled`, and to the directories, deepest
        first, for each change inside one would set its time anew."""
        with _open_root(self._beside) as root:
            for entry in reversed(self._entries[1:]):
                stop.check()
                if entry.kind == "d" or entry.path in filled:
                    flags = _DIRECTORY if entry.kind == "d" else _WRITE
                    with (
                        _parent(root, entry.path) as (parent, name),
                        _opened(os.open(name, flags, dir_fd=parent)) as fd,
                    ):
                        self._dress(fd, entry)
            self._dress(root, self._entries[0])

    def _dress(self, fd: int, entry: Entry) -> None:
        if self._owner is not None:
            os.fchown(fd, *self._owner)
        os.fchmod(fd, entry.mode)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def place(self) -> None:
        """Put it where it belongs: a place that is not there yet, or an empty directory."""
        os.rename(self._beside, self._place)
        self._is_placed = True

    def discard(self) -> None:
        """Remove whatever was made, placed or not, and nothing else. Never raises OSError."""
        remove_tree(self._place if self._is_placed else self._beside)


def remove_tree(root: Path) -> None:
    """Remove a tree whose directories may forbid it; what cannot be removed stays."""
    if not root.is_dir() or root.is_symlink():
        return
    with suppress(OSError):
        os.chmod(root, 0o700)
        for top, directories, _ in os.walk(root):
            for name in directories:
                inner = os.path.join(top, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
    shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _open_root(root: Path) -> Iterator[int]:
    with _opened(os.open(root, _DIRECTORY)) as fd:
        yield fd


@contextmanager
def _parent(root: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """The open directory that `path` lies in, and its last component."""
    *above, name = path.split(b"/")
    fd = os.dup(root)
    try:
        for component in above:
            inner = os.open(component, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd, name
    finally:
        os.close(fd)


@contextmanager
def _opened(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def _write(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
