"""Borrowing: one actor's snapshot names packs that lie with another of its namespace (a fork those
of its source, a new actor those of a golden), and nobody removes them meanwhile.

Who borrows writes a mark at the owner's first, and reads the owner's manifest after that. Who
removes takes the manifests away first, and looks for marks after that. So of the two at least one
sees the other: the borrower finds no manifest, or the remover finds a mark and leaves the packs to
the collector, which asks the borrower's manifests what they name.
"""

import msgspec

from lifecycle.snapshots.base import Store
from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.manifest import Manifest, owners, seen_by
from lifecycle.snapshots.names import Home, new_mark, new_name
from lifecycle.snapshots.restoring import open_manifest
from lifecycle.snapshots.saving import sealed

_MARK = b"borrowed\n"


async def borrow(store: Store, keys: Keys, owner: Home, name: str, borrower: Home) -> Manifest:
    """The manifest, its packs named as `borrower` names them, and safe to be named for as long as
    the collector's grace. Raises what reading a manifest does, ObjectMissing when it is gone."""
    found = await _read(store, keys, owner, name)
    lenders = (owners(found) | {owner}) if found.packs else frozenset[Home]()
    for lender in sorted(lenders - {borrower}, key=lambda home: home.uid):
        await store.create(lender.marks + new_mark(borrower.uid), _MARK)
    # Once more, past every cache: before the marks were there it may have been removed.
    return seen_by(await _read(store, keys, owner, name) if lenders else found, borrower)


async def fork(
    store: Store, keys: Keys, source: Home, name: str, to: Home, to_name: str = ""
) -> str:
    """A snapshot of `to` that is this one: a manifest of its own that names the same packs. Its
    name. A fork that breaks off before leaves marks at most, which name nothing."""
    borrowed = await borrow(store, keys, source, name, to)
    made = msgspec.structs.replace(
        borrowed,
        uid=to.uid,
        epoch=0,
        name=new_name(0),
        parent=f"{source.uid}:{name}",
        actor=to_name,
    )
    parcel = sealed(keys.of(to.namespace), made)
    await store.create(parcel.key, parcel.body)
    return made.name


async def _read(store: Store, keys: Keys, home: Home, name: str) -> Manifest:
    body = await store.read(home.manifest(name))
    return open_manifest(keys.of(home.namespace), home, name, body)
