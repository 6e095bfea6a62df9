"""The archive a Linux kernel takes its first files from (cpio, format newc). Pure.

Bytes follow from the entries alone: no clock, no inode of this machine."""

from collections.abc import Iterable
from typing import NamedTuple

DIRECTORY, FILE, DEVICE = 0o040000, 0o100000, 0o020000


class Entry(NamedTuple):
    name: str
    mode: int
    """Kind and permissions."""
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def archive(entries: Iterable[Entry]) -> bytes:
    parts = [_entry(number, entry) for number, entry in enumerate(entries, start=1)]
    parts.append(_entry(0, Entry("TRAILER!!!", 0)))
    return b"".join(parts)


def _entry(number: int, entry: Entry) -> bytes:
    name = entry.name.encode() + b"\0"
    fields = (
        *(number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0),
        *(*entry.device, len(name), 0),
    )
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(head + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
