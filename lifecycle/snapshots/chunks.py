"""Chunks: how contents are cut, and what a cut is called. No I/O.

Cuts stand at fixed places. Databases change in place and logs grow at the end, which fixed cuts
serve as well as a rolling hash would, and Python could not roll one at disk speed.
"""

from hashlib import blake2b

CHUNK_BYTES = 256 * 1024
ID_BYTES = 32

_ZEROS = bytes(CHUNK_BYTES)


def chunk_id(key: bytes, data: bytes) -> bytes:
    """Keyed, so that nobody without the namespace's key can ask whether a content is stored."""
    return blake2b(data, digest_size=ID_BYTES, key=key).digest()


def is_hole(data: bytes) -> bool:
    """Only zeros: not stored at all; the file has a hole there when it is restored."""
    zeros = _ZEROS if len(data) == CHUNK_BYTES else bytes(len(data))
    return data == zeros


def chunk_start(offset: int) -> int:
    """Where the chunk that holds the byte at `offset` begins."""
    return offset - offset % CHUNK_BYTES
