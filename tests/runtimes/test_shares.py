"""A guest's questions for files, hostile ones too. Real kernels ask in tests/contract."""

import errno
import json
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.fuse import IO, SETATTR, Op, Set
from runtimes.shares import Files, Share
from tests.runtimes.test_fuse import asked


class Guest:
    """Asks as a kernel does."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def ask(self, op: int, node: int, body: bytes = b"") -> bytes:
        answer = self.files.answer(asked(op, body, node))
        assert answer is not None
        size, error, unique = struct.unpack_from("<IiQ", answer)
        assert size == len(answer) and unique == 7
        if error:
            raise OSError(-error, os.strerror(-error))
        return answer[16:]

    def find(self, node: int, *names: bytes) -> int:
        for name in names:
            (node,) = struct.unpack_from("<Q", self.ask(Op.LOOKUP, node, name + b"\0"))
        return node

    def open(self, node: int, flags: int = 0) -> int:
        (handle,) = struct.unpack_from("<Q", self.ask(Op.OPEN, node, struct.pack("<II", flags, 0)))
        return int(handle)

    def create(self, node: int, name: bytes, flags: int = os.O_RDWR) -> tuple[int, int]:
        body = struct.pack("<IIII", flags, 0o644, 0, 0) + name + b"\0"
        made = self.ask(Op.CREATE, node, body)
        return struct.unpack_from("<Q", made)[0], struct.unpack_from("<Q", made, 128)[0]

    def write(self, node: int, handle: int, data: bytes, offset: int = 0) -> int:
        body = IO.pack(handle, offset, len(data), 0, 0, 0, 0) + data
        return int(struct.unpack_from("<I", self.ask(Op.WRITE, node, body))[0])

    def read(self, node: int, handle: int, size: int = 4096, offset: int = 0) -> bytes:
        return self.ask(Op.READ, node, IO.pack(handle, offset, size, 0, 0, 0, 0))

    def names(self, node: int) -> list[bytes]:
        (handle,) = struct.unpack_from("<Q", self.ask(Op.OPENDIR, node, bytes(8)))
        data, found = self.ask(Op.READDIR, node, IO.pack(handle, 0, 65536, 0, 0, 0, 0)), []
        while data:
            size = struct.unpack_from("<I", data, 16)[0]
            found.append(data[24 : 24 + size])
            data = data[(24 + size + 7) // 8 * 8 :]
        return sorted(found)


def files_of(tmp_path: Path) -> Files:
    flags = os.O_RDONLY | os.O_DIRECTORY
    places = [(tmp_path / "system", False), (tmp_path / "data", True)]
    return Files([Share(os.open(path, flags), may_write) for path, may_write in places])


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    for name in ("system", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret").write_text("of the host")
    (tmp_path / "system" / "program").write_text("#!")
    yield Guest(files_of(tmp_path))


def refused(number: int) -> "pytest.RaisesExc[OSError]":
    return pytest.raises(OSError, match=f"Errno {number}]")


def test_files_are_made_written_read_and_listed(guest: Guest, tmp_path: Path) -> None:
    data = guest.find(1, b"1")
    node, handle = guest.create(data, b"f")
    assert guest.write(node, handle, b"hello") == 5
    assert (tmp_path / "data" / "f").read_text() == "hello"
    assert guest.read(node, guest.open(guest.find(data, b"f"))) == b"hello"
    assert guest.names(data) == [b"f"]
    assert guest.names(guest.find(1, b"0")) == [b"program"]


def test_what_is_not_there_is_answered_as_nothing(guest: Guest) -> None:
    assert guest.find(1, b"0", b"no") == 0
    with refused(errno.ENOENT):
        guest.find(1, b"7")


@pytest.mark.parametrize("name", [b"..", b".", b"a/b", b"", b"../secret"])
def test_a_name_is_one_name(guest: Guest, name: bytes) -> None:
    data = guest.find(1, b"1")
    for op, body in ((Op.LOOKUP, b""), (Op.MKDIR, bytes(8)), (Op.UNLINK, b"")):
        with refused(errno.EINVAL):
            guest.ask(op, data, body + name + b"\0")


def test_no_link_of_the_guests_leads_out(guest: Guest, tmp_path: Path) -> None:
    data = guest.find(1, b"1")
    guest.ask(Op.SYMLINK, data, b"out\0" + os.fsencode(tmp_path) + b"\0")
    link = guest.find(data, b"out")
    assert guest.ask(Op.READLINK, link) == os.fsencode(tmp_path)
    for op, body in ((Op.OPEN, bytes(8)), (Op.OPENDIR, bytes(8)), (Op.LOOKUP, b"secret\0")):
        with pytest.raises(OSError):
            guest.ask(op, link, body)
    # Nor one that takes the place of a directory that the guest knows.
    guest.ask(Op.MKDIR, data, struct.pack("<II", 0o755, 0) + b"d\0")
    node = guest.find(data, b"d")
    (tmp_path / "data" / "d").rmdir()
    (tmp_path / "data" / "d").symlink_to(tmp_path)
    with pytest.raises(OSError):
        guest.find(node, b"secret")
    assert (tmp_path / "secret").read_text() == "of the host"


def test_what_is_not_for_writing_is_not_written(guest: Guest, tmp_path: Path) -> None:
    system, data = guest.find(1, b"0"), guest.find(1, b"1")
    program = guest.find(system, b"program")
    handle = guest.open(program)
    shrink = SETATTR.pack(Set.SIZE, 0, 0, 0, *[0] * 12)
    for op, node, body in (
        (Op.OPEN, program, struct.pack("<II", os.O_WRONLY, 0)),
        (Op.OPEN, program, struct.pack("<II", os.O_TRUNC, 0)),
        (Op.WRITE, program, IO.pack(handle, 0, 1, 0, 0, 0, 0) + b"x"),
        (Op.SETATTR, program, shrink),
        (Op.UNLINK, system, b"program\0"),
        (Op.RENAME, data, struct.pack("<Q", system) + b"a\0b\0"),
        (Op.LINK, system, struct.pack("<Q", program) + b"other\0"),
    ):
        with refused(errno.EROFS):
            guest.ask(op, node, body)
    with refused(errno.EPERM):
        guest.ask(Op.MKNOD, data, struct.pack("<IIII", stat.S_IFBLK | 0o666, 0x801, 0, 0) + b"d\0")
    assert (tmp_path / "system" / "program").read_text() == "#!"


def test_attributes_are_changed_on_the_file_that_was_meant(guest: Guest, tmp_path: Path) -> None:
    data = guest.find(1, b"1")
    node, handle = guest.create(data, b"f")
    guest.write(node, handle, b"hello")
    valid = Set.MODE | Set.SIZE | Set.MTIME
    guest.ask(
        Op.SETATTR, node, SETATTR.pack(valid, 0, 0, 2, 0, 0, 99, 0, 0, 5, 0, 0o600, 0, 0, 0, 0)
    )
    about = os.stat(tmp_path / "data" / "f")
    assert (about.st_size, stat.S_IMODE(about.st_mode)) == (2, 0o600)
    assert about.st_mtime_ns == 99 * 10**9 + 5
    with refused(errno.EPERM):
        guest.ask(Op.SETATTR, node, SETATTR.pack(Set.UID, *[0] * 12, about.st_uid + 1, 0, 0))


def test_an_open_file_outlives_its_name_and_a_rename_its_number(guest: Guest) -> None:
    data = guest.find(1, b"1")
    node, handle = guest.create(data, b"f")
    guest.write(node, handle, b"kept")
    guest.ask(Op.RENAME, data, struct.pack("<Q", data) + b"f\0g\0")
    assert guest.find(data, b"g") == node
    guest.ask(Op.UNLINK, data, b"g\0")
    assert guest.read(node, handle) == b"kept"
    with refused(errno.ESTALE):
        guest.open(node)


def test_another_process_goes_on_with_the_same_numbers(guest: Guest, tmp_path: Path) -> None:
    data = guest.find(1, b"1")
    node, handle = guest.create(data, b"f", os.O_RDWR | os.O_TRUNC)
    guest.write(node, handle, b"before")
    lost, lost_handle = guest.create(data, b"lost")
    guest.ask(Op.UNLINK, data, b"lost\0")
    told = json.loads(json.dumps(guest.files.told()))
    # Elsewhere: the same files, other inodes.
    there = tmp_path / "there"
    for name in ("system", "data"):
        (there / name).mkdir(parents=True)
    (there / "data" / "other").touch()
    (there / "data" / "f").write_text("before")
    again = Guest(files_of(there))
    again.files.take_up(told)
    assert again.read(node, handle) == b"before"
    assert again.write(node, handle, b" and after", 6) == 10
    assert (there / "data" / "f").read_text() == "before and after"
    assert again.find(data, b"f") == node
    assert again.create(data, b"new")[1] not in (handle, lost_handle)
    with refused(errno.ESTALE):
        again.read(lost, lost_handle)


def test_nonsense_is_refused_and_ends_nothing(guest: Guest) -> None:
    with refused(errno.ENOSYS):
        guest.ask(999, 1)
    with refused(errno.ESTALE):
        guest.ask(Op.GETATTR, 12345, bytes(16))
    with refused(errno.EBADF):
        guest.read(1, 4711)
    for op in (Op.READ, Op.SETATTR, Op.CREATE):
        with pytest.raises(ValueError):
            guest.files.answer(asked(op, b"\x01", guest.find(1, b"1")))
