"""Collect: remove what no snapshot needs, sparing what may yet be needed.

Garbage is a manifest that the placement table does not name, a pack that no manifest names (its
owner's or that of one who borrows here, see `borrowing`), or the mark of one who borrows nothing.
It is removed only after it was seen to be garbage at every look for a whole grace period, counted
by this collector's own clock; a restart begins the period anew. A save or a fork ends long before a
grace does, so packs whose manifest is still to come are never old enough.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from lifecycle.snapshots.base import ObjectMissing, Store
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import ManifestInvalid
from lifecycle.snapshots.names import Home, borrower_of, parse_key
from lifecycle.snapshots.restoring import open_manifest
from lifecycle.snapshots.seal import Damaged

log = logging.getLogger(__name__)

GRACE_S = 3600.0
"""Longer than vault.SAVE_LIMIT_S by far: see the module's docstring."""

Live = Callable[[str, str], Awaitable[Collection[str] | None]]
"""(namespace, uid) -> names of the snapshots to keep; None: leave this actor's alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    removed: int
    waiting: int
    """Garbage whose grace has not ended."""
    spared: int
    """Actors left alone because something about them could not be read."""


class Collector:
    """One per store is enough; more do no harm."""

    def __init__(self, store: Store, keys: Keys, *, grace_s: float = GRACE_S) -> None:
        self._store = store
        self._keys = keys
        self._grace_s = grace_s
        self._since: dict[str, float] = {}

    async def collect(self, prefix: str, live: Live, now: float) -> Collected:
        """Look at all actors below `prefix` (`""`, `namespace/` or `namespace/uid/`) once.

        `now` is of a clock that never goes back. May raise StoreError; repeat it later.
        """
        # Listed before the table is asked: a snapshot that is promoted in between is then not in
        # the listing at all, so it cannot be taken for garbage.
        homes = _grouped([key async for key in self._store.keys(prefix)])
        garbage: set[str] = set()
        spared = 0
        for home, keys in homes.items():
            found = await self._garbage_of(home, keys, live)
            spared += found is None
            garbage |= found or set()
        due = self._due(prefix, garbage, now)
        # Manifests first: a pack may go only when nothing that names it can be read any more.
        for key in sorted(due, key=lambda key: "mpb".index(_kind(key))):
            await self._store.remove(key)
            del self._since[key]
        return Collected(removed=len(due), waiting=len(garbage) - len(due), spared=spared)

    def _due(self, prefix: str, garbage: set[str], now: float) -> list[str]:
        for key in [k for k in self._since if k.startswith(prefix) and k not in garbage]:
            del self._since[key]  # gone, or needed again: its grace begins anew
        return [key for key in garbage if now - self._since.setdefault(key, now) >= self._grace_s]

    async def _garbage_of(self, home: Home, keys: Iterable[str], live: Live) -> set[str] | None:
        """None when it cannot be told, and then nothing of this actor is garbage."""
        manifests, packs, marks = ({k for k in keys if _kind(k) == kind} for kind in "mpb")
        names = await live(home.namespace, home.uid)
        if names is None:
            if manifests or not marks:
                return None
            names = ()  # it was deleted, and its packs were left for those who borrow them
        kept = {home.manifest(name) for name in names}
        if not kept <= manifests:
            # The table knows what the listing does not: the listing is old, or of another store.
            return None
        try:
            # Every manifest that can still be read keeps its packs, garbage or not: a pack falls
            # free one round after the last manifest that names it is gone.
            named = [await self._packs_of(home, key, key in kept) for key in manifests]
            borrowed = {mark: await self._borrowed(home, borrower_of(mark)) for mark in marks}
        except (Damaged, ManifestInvalid, ObjectMissing) as error:
            log.warning(
                "snapshot cannot be read, so nothing of this actor is collected",
                extra={"namespace": home.namespace, "uid": home.uid, "why": str(error)},
            )
            return None
        unused = packs - set().union(*named, *borrowed.values())
        # As long as there is a mark the packs are collected, of a deleted actor too: it goes last.
        vain = set() if unused else {mark for mark in marks if not borrowed[mark]}
        return (manifests - kept) | unused | vain

    async def _borrowed(self, lender: Home, uid: str) -> set[str]:
        """The lender's packs that any manifest of this actor names."""
        borrower = Home(lender.namespace, uid)
        found: set[str] = set()
        async for key in self._store.keys(f"{borrower.prefix}m/"):
            try:
                found |= await self._packs_of(borrower, key, is_kept=True)
            except ObjectMissing:
                continue  # removed since it was listed
        return {key for key in found if key.startswith(lender.prefix)}

    async def _packs_of(self, home: Home, key: str, is_kept: bool) -> set[str]:
        name = key.rpartition("/")[2]
        try:
            body = await self._store.read(key)
            manifest = open_manifest(self._keys.of(home.namespace), home, name, body)
        except (Damaged, ManifestInvalid, ObjectMissing):
            if is_kept:
                raise
            return set()  # nobody can restore it, so it needs no packs
        return {home.pack(pack.name) for pack in manifest.packs}


def _grouped(keys: Iterable[str]) -> Mapping[Home, set[str]]:
    homes: dict[Home, set[str]] = {}
    for key in keys:
        # What is not of our making is not ours to remove.
        if (parsed := parse_key(key)) is not None:
            homes.setdefault(parsed[0], set()).add(key)
    return homes


def _kind(key: str) -> str:
    parsed = parse_key(key)
    return parsed[1] if parsed is not None else ""
