"""How requests are read and answers laid out; real kernels read them in the contract's tests."""

import os
import struct
from pathlib import Path

import pytest

from runtimes import fuse
from runtimes.fuse import Op


def asked(op: int, body: bytes, node: int = 1, unique: int = 7) -> bytes:
    size = 40 + len(body)
    return struct.pack("<IIQQIIII", size, op, unique, node, 1000, 1000, 1, 0) + body


def test_a_request_is_read_whole_or_not_at_all() -> None:
    ask = fuse.read(asked(Op.LOOKUP, b"name\0", node=5))
    assert (ask.op, ask.node, ask.unique, ask.names()) == (Op.LOOKUP, 5, 7, [b"name"])
    for damaged in (b"", b"\0" * 39, asked(Op.LOOKUP, b"x\0")[:-1]):
        with pytest.raises(ValueError):
            fuse.read(damaged)


def test_answers_say_their_length_and_whose_they_are() -> None:
    ask = fuse.read(asked(Op.GETATTR, b"", unique=99))
    assert struct.unpack_from("<IiQ", fuse.answer(ask, b"abc")) == (19, 0, 99)
    assert struct.unpack("<IiQ", fuse.refusal(ask, 2)) == (16, -2, 99)


def test_layouts_have_the_sizes_of_the_protocol(tmp_path: Path) -> None:
    about = os.stat(tmp_path)
    assert len(fuse.init()) == 64
    assert len(fuse.attributes(1, about)) == 104 and len(fuse.entry(1, about)) == 128
    assert len(fuse.nothing()) == 128 and fuse.nothing()[:8] == bytes(8)
    assert len(fuse.opened(1)) == 16 and len(fuse.space(os.statvfs(tmp_path))) == 80
    assert len(fuse.dirent(1, 1, 4, b"abc")) == 32
