"""Memory in an actor's life: what its image needs, where it goes on from one, when it is written.

An image belongs to the files of its snapshot and to no others: it is written while both stand
still, kept beside them, and gone from the disk before they may change.
"""

import asyncio
import logging
import shutil
import time
from pathlib import Path

from lifecycle.errors import SnapshotRefused
from lifecycle.host.residence import Residence
from lifecycle.snapshots.image import Memory, Terms, read_terms, write_terms
from lifecycle.snapshots.pages import missing
from runtimes.base import Handle, RuntimeFailure, SandboxSpec

log = logging.getLogger(__name__)


async def fetch(r: Residence, spec: SandboxSpec, terms: Terms) -> None:
    """The files of the snapshot, and its image where it has one that can go on here."""
    assert r.copy is not None
    record = r.record
    or_files = r.template.fallback == "data" or r.template.scope == "data"
    wanted = Memory(directory=r.copy.image, offers=terms, or_files=or_files)
    if terms and record.snapshot is not None:
        r.driver.expect(spec)
    if r.copy.durable.exists():
        await asyncio.to_thread(_judge_kept, wanted, record.snapshot)
    elif record.snapshot is not None:
        restored = await r.kit.vault.restore(
            record.actor.namespace,
            record.uid,
            record.snapshot,
            r.copy.directories(r.template.durable),
            memory=wanted,
        )
        r.kit.meters.snapshot_bytes["read"] += restored.bytes_read
    for directory in r.copy.directories(r.template.durable).values():
        directory.mkdir(parents=True, exist_ok=True)
    r.image = r.copy.image if r.copy.image.exists() else None


def _judge_kept(wanted: Memory, snapshot: str | None) -> None:
    """The same judgement of an image that this worker kept. Raises SnapshotRefused."""
    needs = read_terms(wanted.directory)
    lacks = missing(needs, wanted.offers) if needs is not None else ""
    if not lacks:
        return
    if not wanted.or_files:
        raise SnapshotRefused(f"snapshot {snapshot}: its memory cannot go on here: {lacks}")
    log.warning("memory of a snapshot left out: it cannot go on here", extra={"why": lacks})
    shutil.rmtree(wanted.directory)


def terms_of(r: Residence, spec: SandboxSpec) -> dict[str, tuple[str, ...]]:
    """What an image of it needs where it goes on, and so what one finds here. Nothing where memory
    is not kept: then none can go on."""
    terms = {} if r.template.scope == "data" else dict(r.driver.image_terms(spec))
    if terms:
        terms["template"] = (r.template.started_as,)
    return terms


async def begin(r: Residence, spec: SandboxSpec) -> Handle:
    if r.image is None:
        return await r.driver.start(spec)
    try:
        return await r.driver.restore(spec, r.image)
    except RuntimeFailure as error:
        if r.template.fallback != "data":
            raise
        log.warning(
            "memory of a snapshot left out: the runtime refused it",
            extra={"actor": str(r.actor), "why": str(error)},
        )
        return await r.driver.start(spec)


async def drop_image(r: Residence) -> None:
    """It is awake, and its files change from now on. The sandbox may still be reading the image,
    from files that it has open."""
    if r.image is not None:
        await asyncio.to_thread(shutil.rmtree, r.image, ignore_errors=True)
        r.image = None


async def write_image(r: Residence, image: Path) -> Path | None:
    """Its memory, while it could still be thawed. None where it keeps none, or has ended."""
    # Of the wake, or of a suspend that was taken back: older than the files, and kept beside them
    # it would be taken for their memory.
    await asyncio.to_thread(shutil.rmtree, image, ignore_errors=True)
    if r.handle is None or not r.keeps_memory:
        return None
    began = time.monotonic()
    async with asyncio.timeout(r.kit.settings.driver_s):
        await r.driver.checkpoint(r.handle, image)
    r.kit.meters.phase("checkpoint", time.monotonic() - began)
    await asyncio.to_thread(write_terms, image, r.note.terms)
    return image
