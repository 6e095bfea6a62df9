"""Checkpoints: a running actor is saved, now and then (`snapshot.every`), so that the death of a
worker costs what changed since and not what changed since the last suspend, and before a fork.

It stands still for as long as a copy of its files (and of its memory, where its class keeps that)
takes on this machine, and runs on while the copy is uploaded. A request that comes while it stands
waits; one for which that would be long is served, and the checkpoint is tried again later. Nothing
is ever cut (P4).
"""

import asyncio
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from lifecycle.errors import LifecycleError, SnapshotFailed
from lifecycle.failpoints import Point, reach
from lifecycle.host import memory
from lifecycle.host.copying import copy_into
from lifecycle.host.places import IMAGE
from lifecycle.host.residence import Residence
from lifecycle.host.sleeping import caught
from lifecycle.snapshots.vault import SnapshotOwner
from runtimes.base import RuntimeFailure

log = logging.getLogger(__name__)

_STILL_S = 0.25
"""How long a request may wait for a copy that is being made."""
_WHOLE_STILL_S = 10.0
"""How long it stands still when nobody waits, or a person asked for it (a fork)."""
_AGAIN_S = 0.2
"""After one that was asked for had to yield."""
_LOOK_S = 0.05

T = TypeVar("T")


class _Yielded(Exception):
    """Something else has to be done with the actor first."""


async def checkpoint(r: Residence) -> None:
    """One, if anything changed. Raises Superseded, LeaseLost, Broken."""
    began = time.monotonic()
    assert r.copy is not None
    # Who asks from here on wants what is done from here on.
    asked, r.saves = r.saves, []
    try:
        done = await _checkpoint(r, patience_s=_WHOLE_STILL_S if asked else _STILL_S)
    except _Yielded:
        r.kit.meters.checkpoints["yielded"] += 1
        # Soon again, but not at once: who waits is served first.
        r.looked_at = r.clock() - (r.rules().checkpoint_every or 0.0) + _pause_s(r)
        r.saves, r.save_not_before = [*asked, *r.saves], r.clock() + _AGAIN_S
        return
    except (LifecycleError, RuntimeFailure, OSError) as error:
        r.kit.meters.checkpoints["failed"] += 1
        log.warning("checkpoint failed", extra={"actor": str(r.actor), "why": str(error)})
        r.looked_at = r.clock() - (r.rules().checkpoint_every or 0.0) + _pause_s(r)
        told = error if isinstance(error, LifecycleError) else SnapshotFailed(str(error))
        settle(asked, told)
        return
    except BaseException:
        r.saves = [*asked, *r.saves]  # told when it leaves
        raise
    r.kit.meters.checkpoints["saved" if done else "unchanged"] += 1
    if done:
        r.kit.meters.phase("checkpoint", time.monotonic() - began)
    r.looked_at = r.clock()
    settle(asked, None)


def settle(
    asked: Sequence[asyncio.Future[LifecycleError | None]], error: LifecycleError | None
) -> None:
    for each in asked:
        if not each.done():
            each.set_result(error)


def _pause_s(r: Residence) -> float:
    return min(r.kit.settings.retry_suspend_s, r.rules().checkpoint_every or 0.0)


async def _checkpoint(r: Residence, *, patience_s: float) -> bool:
    assert r.copy is not None
    directories = r.copy.directories(r.durable)
    if await _is_unchanged(r, directories):
        return False
    staged, is_still = r.copy.path / "staged", r.is_frozen
    try:
        if is_still:
            look = await asyncio.to_thread(look_of, directories)
            await asyncio.to_thread(_emptied, staged)
            snapshot = await _unless_needed(r, lambda: _save(r, directories, staged), _is_wanted)
        else:
            look = await _copied(r, directories, staged, patience_s)
            reach(Point.CHECKPOINT_COPIED)
            copies = {path: staged / each.name for path, each in directories.items()}
            image = staged / IMAGE
            snapshot = await _unless_needed(
                r, lambda: _upload(r, copies, image if image.exists() else None), _must_stop
            )
    finally:
        await asyncio.to_thread(shutil.rmtree, staged, True)
    reach(Point.CHECKPOINT_SAVED)
    active_ms = r.active_ms()
    await r.write(
        lambda f, call: r.kit.table.checkpointed(
            f, snapshot=snapshot, active_ms=active_ms, call=call
        )
    )
    reach(Point.CHECKPOINT_TOLD)
    r.saved_as, r.is_saved_still = look, is_still
    return True


async def _is_unchanged(r: Residence, directories: Mapping[str, Path]) -> bool:
    """Its memory changes whenever it runs."""
    if r.keeps_memory:
        return r.is_saved_still
    return not directories or await asyncio.to_thread(look_of, directories) == r.saved_as


async def _copied(
    r: Residence, directories: Mapping[str, Path], staged: Path, patience_s: float
) -> bytes:
    """Stand still, copy, run on. How the files looked meanwhile."""
    r.gate.shut()
    try:
        await r.freeze()
        reach(Point.CHECKPOINT_STILL)
        is_needed = _is_impatient(patience_s)
        return await _unless_needed(r, lambda: _copy(r, directories, staged), is_needed)
    finally:
        # Also when it could not be frozen; not when it has ended or may not serve: the next step
        # of its life sees to that.
        if r.exit is None and r.has_lease():
            await r.run_on()


async def _copy(r: Residence, directories: Mapping[str, Path], staged: Path) -> bytes:
    """Its memory, where it keeps that, and its files."""
    look = await asyncio.to_thread(look_of, directories)
    await asyncio.to_thread(_emptied, staged)
    await memory.write_image(r, staged / IMAGE)
    if directories:
        await copy_into(directories.values(), staged)
    return look


def _emptied(staged: Path) -> None:
    shutil.rmtree(staged, ignore_errors=True)  # left by a worker that died in the midst
    staged.mkdir(mode=0o700)


async def _save(r: Residence, directories: Mapping[str, Path], staged: Path) -> str:
    return await _upload(r, directories, await memory.write_image(r, staged / IMAGE))


async def _upload(r: Residence, directories: Mapping[str, Path], image: Path | None) -> str:
    record = r.record
    owner = SnapshotOwner(
        actor=r.actor, uid=record.uid, epoch=record.epoch, template=record.template
    )
    saved = await r.kit.vault.save(
        owner, directories, parent=record.snapshot or r.golden, image=image
    )
    r.kit.meters.snapshot_bytes["written"] += saved.bytes_written
    return saved.id


# When it yields ---------------------------------------------------------------------------------


def _must_stop(r: Residence) -> bool:
    """While the copy is uploaded it serves; only what ends or moves it comes first."""
    return bool(r.order or r.exit or r.doubted_until is not None or not r.has_lease())


def _is_wanted(r: Residence) -> bool:
    return _must_stop(r) or r.gate.waiting > 0


def _is_impatient(patience_s: float) -> Callable[[Residence], bool]:
    began = time.monotonic()

    def is_impatient(r: Residence) -> bool:
        still_s = time.monotonic() - began
        is_asked_for = r.gate.waiting > 0 or r.gate.tickets > 0
        return _must_stop(r) or still_s > (patience_s if is_asked_for else _WHOLE_STILL_S)

    return is_impatient


async def _unless_needed(
    r: Residence, work: Callable[[], Awaitable[T]], is_needed: Callable[[Residence], bool]
) -> T:
    """What `work` gives. Raises _Yielded when it was given up, and what it raises."""
    is_given_up = False
    async with asyncio.TaskGroup() as group:
        task = group.create_task(caught(work), name=f"checkpoint of {r.actor}")
        while not task.done():
            r.stirred.clear()
            if not is_given_up and is_needed(r):
                is_given_up = True
                task.cancel()
            stirred = group.create_task(r.stirred.wait(), name=f"what stirs {r.actor}")
            await asyncio.wait(
                {task, stirred}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
            )
            stirred.cancel()
    if task.cancelled():
        raise _Yielded
    result = task.result()
    if isinstance(result, Exception):
        raise result
    return result


def look_of(directories: Mapping[str, Path]) -> bytes:
    """How these files look: another one whenever any of them was written, made or removed, but for
    what lies in the same instant of the file system's clock."""
    look = hashlib.blake2b(digest_size=16)
    rest = [os.fsencode(each) for _, each in sorted(directories.items())]
    while rest:
        here = rest.pop()
        try:
            found = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError:
            continue  # gone, or not to be read: then a save says so
        for entry in found:
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            times = (about.st_mtime_ns, about.st_ctime_ns)
            look.update(entry.path)
            look.update(repr((about.st_ino, about.st_mode, about.st_size, times)).encode())
            if entry.is_dir(follow_symlinks=False):
                rest.append(entry.path)
    return look.digest()
