"""Newest: what of each actor is in a store, for a table that has lost its records.

Nothing here knows which snapshots were promoted: of each actor it takes the one of the highest
epoch, and of several the one that its owner saved last. Of an epoch there is one owner, and so one
clock. One that cannot be opened is named and never passed over for an older one (P6).
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from lifecycle.snapshots.base import ObjectMissing, Store
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import Manifest, ManifestInvalid
from lifecycle.snapshots.names import Home, parse_key
from lifecycle.snapshots.restoring import open_manifest
from lifecycle.snapshots.seal import Damaged
from placement.model import ActorId, InvalidName

_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One actor, as its newest snapshot tells of it."""

    actor: ActorId
    uid: str
    epoch: int
    snapshot: str
    template: str
    saved_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    namespace: str
    uid: str
    why: str


async def newest(store: Store, keys: Keys, prefix: str) -> AsyncIterator[Kept | Unreadable]:
    """Of every uid below `prefix` (`""` or `namespace/`). Raises StoreError."""
    homes = _grouped([key async for key in store.keys(prefix)])
    ordered = sorted(homes.items(), key=lambda item: (item[0].namespace, item[0].uid))
    for begin in range(0, len(ordered), _AT_ONCE):
        batch = ordered[begin : begin + _AT_ONCE]
        for found in await asyncio.gather(*(_look(store, keys, *each) for each in batch)):
            yield found


async def _look(store: Store, keys: Keys, home: Home, names: list[str]) -> Kept | Unreadable:
    highest = max(map(_epoch, names))
    try:
        found = [await _open(store, keys, home, name) for name in names if _epoch(name) == highest]
        last = max(found, key=lambda manifest: manifest.saved_ms)
        if not last.actor or not last.template:
            raise ManifestInvalid(f"{home.manifest(last.name)} does not say whose it is")
        return Kept(
            actor=ActorId.of(home.namespace, last.actor),
            uid=home.uid,
            epoch=highest,
            snapshot=last.name,
            template=last.template,
            saved_ms=last.saved_ms,
        )
    except (Damaged, ManifestInvalid, ObjectMissing, InvalidName) as error:
        return Unreadable(namespace=home.namespace, uid=home.uid, why=str(error))


async def _open(store: Store, keys: Keys, home: Home, name: str) -> Manifest:
    body = await store.read(home.manifest(name))
    return open_manifest(keys.of(home.namespace), home, name, body)


def _epoch(name: str) -> int:
    return int(name.partition("-")[0])


def _grouped(keys: Iterable[str]) -> Mapping[Home, list[str]]:
    homes: dict[Home, list[str]] = {}
    for key in keys:
        parsed = parse_key(key)
        if parsed is not None and parsed[1] == "m":
            homes.setdefault(parsed[0], []).append(parsed[2])
    return homes
