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
from lifecycle.host.copying import copy_into
from lifecycle.host.golden import Goldens, uid_of
from lifecycle.host.residence import Residence
from lifecycle.snapshots.image import Memory, Terms, read_terms, write_terms
from lifecycle.snapshots.pages import missing
from lifecycle.templates import Template
from runtimes.base import Driver, Handle, RuntimeFailure, SandboxSpec

log = logging.getLogger(__name__)


async def fetch(r: Residence, spec: SandboxSpec, terms: Terms) -> None:
    """The files of the snapshot, and its image where it has one that can go on here."""
    assert r.copy is not None
    record = r.record
    if record.snapshot is None and r.template.golden and r.kit.goldens is not None:
        await _take_golden(r, r.kit.goldens, spec, terms)
        return
    or_files = r.template.fallback == "data" or r.template.scope == "data"
    wanted = Memory(directory=r.copy.image, offers=terms, or_files=or_files)
    if terms and record.snapshot is not None:
        r.driver.expect(spec)
    if r.copy.durable.exists():
        if r.copy.image.exists():  # a visit to a thread costs more than most wakes' claim
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


async def _take_golden(r: Residence, goldens: Goldens, spec: SandboxSpec, terms: Terms) -> None:
    """Where there is one its files become this actor's, and its memory is where it goes on."""
    assert r.copy is not None
    directories = r.copy.directories(r.template.durable)
    r.copy.durable.mkdir(exist_ok=True)
    golden = await goldens.get(
        r.template, uid_of(r.template, str(r.driver.runtime), terms), directories
    )
    if golden is not None:
        r.image, r.golden = golden.image, golden.id
        if r.image is not None:
            r.driver.expect(spec)
        theirs = (golden.files / each.name for each in directories.values())
        full = [each for each in theirs if each.is_dir() and any(each.iterdir())]
        if full:
            await copy_into(full, r.copy.durable)
    for directory in directories.values():
        directory.mkdir(exist_ok=True)


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


def terms_of(template: Template, driver: Driver, spec: SandboxSpec) -> dict[str, tuple[str, ...]]:
    """What an image of it needs where it goes on, and so what one finds here. Nothing where memory
    is not kept: then none can go on."""
    terms = {} if template.scope == "data" else dict(driver.image_terms(spec))
    if terms:
        terms["template"] = (template.started_as,)
    return terms


async def begin(r: Residence, spec: SandboxSpec) -> Handle:
    if r.image is None:
        return await r.driver.start(spec)
    try:
        return await r.driver.restore(spec, r.image)
    except RuntimeFailure as error:
        # A golden is a shorter way to start: it is no actor's state, and nothing is lost with it.
        if r.template.fallback != "data" and r.golden is None:
            raise
        log.warning(
            "memory of a snapshot left out: the runtime refused it",
            extra={"actor": str(r.actor), "why": str(error)},
        )
        return await r.driver.start(spec)


async def drop_image(r: Residence) -> None:
    """It is awake, and its files change from now on. The sandbox may still be reading the image,
    from files that it has open."""
    image, r.image = r.image, None
    if image is not None and r.golden is None:  # else it is every new actor's
        await asyncio.to_thread(shutil.rmtree, image, ignore_errors=True)


async def write_image(r: Residence, image: Path) -> Path | None:
    """Its memory, while it could still be thawed. None where it keeps none, or has ended."""
    # Of the wake, or of a suspend that was taken back: older than the files, and kept beside them
    # it would be taken for their memory.
    if await r.kit.disk.do(image.exists):
        await asyncio.to_thread(shutil.rmtree, image, ignore_errors=True)
    if r.handle is None or not r.keeps_memory:
        return None
    began = time.monotonic()
    async with asyncio.timeout(r.kit.settings.driver_s):
        await r.driver.checkpoint(r.handle, image)
    r.kit.meters.phase("checkpoint", time.monotonic() - began)
    await asyncio.to_thread(write_terms, image, r.note.terms)
    return image
