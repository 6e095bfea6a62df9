"""Seal: what an object is from outside, a head and boxes; compressed, then AES-256-GCM. No I/O.

Format: docs/snapshots.md. A key is derived for each object from its name in the store and a salt,
so an object under another name, of another actor or of another namespace does not open, and
nonces are plain counters.
"""

import secrets
from dataclasses import dataclass

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lifecycle.snapshots.keys import NamespaceKeys, derive

VERSION = 1
MANIFEST = b"M"
PACK = b"P"
HEAD_BYTES = 28
_MAGIC = b"ROUSE"
_SALT_BYTES = 16
_TAG_BYTES = 16
_LEVEL = 1
"""Of zstd: the fastest; a wake waits for the other direction, which does not care."""


class Damaged(Exception):
    """The object does not open: damaged, truncated, foreign, or sealed with another key."""


@dataclass(frozen=True, slots=True, repr=False)
class Seal:
    """Seals or opens the boxes of one object. May be used by several threads."""

    head: bytes
    _cipher: AESGCM

    @classmethod
    def new(cls, keys: NamespaceKeys, key: str, kind: bytes) -> "Seal":
        salt = secrets.token_bytes(_SALT_BYTES)
        head = _MAGIC + kind + bytes((VERSION, 0)) + keys.key_id + salt
        return cls(head, _cipher_of(keys, key, salt))

    @classmethod
    def read(cls, keys: NamespaceKeys, key: str, kind: bytes, body: bytes) -> "Seal":
        """The seal of an object that was read as `key`. Raises Damaged, which names `key`."""
        head = body[:HEAD_BYTES]
        if len(head) < HEAD_BYTES or head[:5] != _MAGIC:
            raise Damaged(f"{key} is no rouse object, or is cut off")
        if head[5:6] != kind:
            raise Damaged(f"{key} is another kind of object than its name says")
        if head[6] != VERSION:
            raise Damaged(f"{key} is of format version {head[6]}; known is {VERSION}")
        if head[8:12] != keys.key_id:
            other = head[8:12].hex()
            raise Damaged(f"{key} was sealed with master key {other}, not {keys.key_id.hex()}")
        return cls(head, _cipher_of(keys, key, head[12:]))

    def shut(self, number: int, data: bytes, label: bytes = b"") -> bytes:
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
        return self._cipher.encrypt(number.to_bytes(12, "big"), packed, self.head + label)

    def open(self, number: int, box: bytes | memoryview, limit: int, label: bytes = b"") -> bytes:
        """What is in the box, at most `limit` bytes of it. Raises Damaged."""
        if len(box) < _TAG_BYTES:
            raise Damaged("it is cut off")
        try:
            packed = self._cipher.decrypt(number.to_bytes(12, "big"), box, self.head + label)
            size = zstandard.frame_content_size(packed)
            if not 0 <= size <= limit:
                raise Damaged("it holds more than it may")
            return zstandard.ZstdDecompressor().decompress(packed)
        except InvalidTag:
            raise Damaged("it is damaged, or was not written under this name") from None
        except zstandard.ZstdError as error:
            raise Damaged("it cannot be decompressed") from error


def _cipher_of(keys: NamespaceKeys, key: str, salt: bytes) -> AESGCM:
    return AESGCM(derive(keys.sealing, b"rouse object " + key.encode(), salt=salt))
