"""The seam to an object store, and the contract every store keeps.

Keys are `/`-separated ASCII; the vault alone decides what they look like. Errors: `ObjectMissing`
and `ObjectExists` are final; `StoreUnavailable` may pass, and the retrying store repeats it.
"""

from collections.abc import AsyncIterator
from typing import Protocol


class StoreError(Exception):
    """Root of what a store may raise."""


class ObjectMissing(StoreError):
    """No object of that key."""


class ObjectExists(StoreError):
    """`create` found the key taken: never taken for one's own (design, section 9)."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is full, or answered nonsense; it may pass."""


class Store(Protocol):
    """Objects by key. Writes are whole and durable when the call returns, or did not happen."""

    async def create(self, key: str, body: bytes) -> None:
        """Write a new object. Raises ObjectExists when the key is taken (If-None-Match: *)."""
        ...

    async def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """The object, or `length` bytes of it from `offset`. Raises ObjectMissing."""
        ...

    async def remove(self, key: str) -> None:
        """Remove it; an object that is not there is no error."""
        ...

    def keys(self, prefix: str) -> AsyncIterator[str]:
        """All keys that begin with `prefix`, in any order."""
        ...

    async def check(self) -> None:
        """Raise StoreUnavailable unless the store can be written to now."""
        ...

    async def close(self) -> None: ...
