"""Keys: one master key, from which every namespace's and every object's key is derived.

Derived keys are never stored. The master key is read from a file of its owner's alone and appears
in no log, error or repr.
"""

import os
import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


class KeyUnusable(Exception):
    """The master key's file is not what it must be; the message says what to do."""


def derive(key: bytes, info: bytes, *, salt: bytes | None = None) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NamespaceKeys:
    """What one namespace's objects are sealed and named with."""

    key_id: bytes
    sealing: bytes
    naming: bytes
    """Key of the chunk ids."""


class Keys:
    """The keys of all namespaces under one master key."""

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise KeyUnusable(f"the master key has {len(master)} bytes instead of {KEY_BYTES}")
        key_id = derive(master, b"rouse key id")[:4]

        @lru_cache(maxsize=1024)
        def of(namespace: str) -> NamespaceKeys:
            sealing = derive(master, b"rouse namespace " + namespace.encode())
            naming = derive(sealing, b"rouse chunk id")
            return NamespaceKeys(key_id=key_id, sealing=sealing, naming=naming)

        self.of = of
        self.key_id = key_id
        """Says which master key sealed an object, and nothing about the key."""

    def __repr__(self) -> str:
        return f"<Keys {self.key_id.hex()}>"


def load_key(path: Path) -> bytes:
    """The master key in `path`: 64 hexadecimal digits, readable by nobody else."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4 * KEY_BYTES)
    except OSError as error:
        raise KeyUnusable(f"cannot read the master key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise KeyUnusable(f"others may read the master key {path}: chmod 600 it")
    try:
        master = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        # Not chained: the cause would quote the file.
        raise KeyUnusable(f"the master key {path} is not hexadecimal") from None
    if len(master) != KEY_BYTES:
        raise KeyUnusable(f"the master key {path} is not {2 * KEY_BYTES} hexadecimal digits")
    return master


def load_or_make_key(path: Path) -> bytes:
    """The key in `path`, made there first if there is none. Safe to race: all get the same key."""
    if not path.exists():
        _make_key(path)
    return load_key(path)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            # Every snapshot depends on it: it must be on the disk before the first one is.
            os.fsync(file.fileno())
        try:
            # A link, not a rename: who comes second must not replace a key already in use.
            os.link(made, path)
        except FileExistsError:
            return
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise KeyUnusable(f"cannot make the master key {path}: {error.strerror}") from error
    finally:
        made.unlink(missing_ok=True)
