"""Copy a file without what it does not hold: holes, and pages of zeros. Blocks."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES = 1 << 16
_ZEROS = bytes(BLOCK_BYTES)


def copy(source: Path, target: Path) -> int:
    """Bytes that were written. The target is made, and must not be there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    written = 0
    with open(source, "rb", buffering=0) as reading:
        writing = os.open(target, flags, 0o600)
        try:
            os.ftruncate(writing, os.fstat(reading.fileno()).st_size)
            for offset, end in _extents(reading.fileno()):
                written += _copy(reading.fileno(), writing, offset, end)
        finally:
            os.close(writing)
    return written


def _copy(source: int, target: int, offset: int, end: int) -> int:
    written = 0
    while offset < end:
        block = os.pread(source, min(BLOCK_BYTES, end - offset), offset)
        if not block:
            break
        if block != _ZEROS[: len(block)]:
            os.pwrite(target, block, offset)
            written += len(block)
        offset += len(block)
    return written


def _extents(file: int) -> Iterator[tuple[int, int]]:
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here on
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end
