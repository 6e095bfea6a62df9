"""What an earlier incarnation of this worker left: adopt the copy that still runs, save the files
of the one that does not, kill what the table no longer calls ours."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from lifecycle.errors import LifecycleError
from lifecycle.host.places import Copy, Note, boot_id
from lifecycle.host.residence import Broken, LeaseLost, Phase, Residence, Superseded
from lifecycle.host.waking import lead_out, open_line, own_again
from placement.errors import PlacementError
from placement.model import ActorRecord, ActorState
from runtimes.base import Exit, RuntimeFailure

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 0.5


def recovery(left: Sequence[tuple[Copy, Note]]) -> Callable[[Residence], Awaitable[bool]]:
    """The beginning of a residence that is not a wake, for `life.live`: `left` are all the copies
    of one actor that were found. At most one of them is the record's."""

    async def begin(r: Residence) -> bool:
        seen = await _read(r)
        worker = r.owner.claimant().worker
        for copy, note in sorted(left, key=lambda found: found[1].epoch, reverse=True):
            is_ours = r.copy is None and seen is not None and note.is_of(seen, worker)
            if is_ours and note.boot in ("", boot_id()):
                r.copy, r.note, r.handle = copy, note, note.handle
            elif is_ours:
                # Its files may be torn, and a torn file in a new snapshot would be the newest (P6):
                # the actor wakes from its last snapshot, and that is said.
                log.error(
                    "machine restarted: what an actor did since its last snapshot is lost",
                    extra={"actor": str(r.actor), "epoch": note.epoch},
                )
                await _drop(r, copy, note)
            else:
                log.warning("copy left behind is not ours any more", extra={"actor": str(r.actor)})
                await _drop(r, copy, note)
        if seen is None or r.copy is None:
            return False
        if r.note.handle is not None:
            r.driver = r.kit.drivers[r.note.handle.runtime]
        return await _adopt_surely(r, seen)

    return begin


async def _read(r: Residence) -> ActorRecord | None:
    while True:
        try:
            return await r.kit.table.read(r.actor)
        except PlacementError:
            await asyncio.sleep(_ASK_AGAIN_S)


async def _drop(r: Residence, copy: Copy, note: Note) -> None:
    """Kill what runs of it, then remove it; what cannot be killed is left for the next start."""
    driver = r.kit.drivers.get(note.handle.runtime) if note.handle is not None else None
    try:
        if note.handle is not None:
            if driver is None:
                return
            await driver.stop(note.handle, 0)
        await asyncio.to_thread(copy.remove)
    except (RuntimeFailure, OSError) as error:
        log.error("copy not ended", extra={"actor": str(r.actor), "why": str(error)})


async def _adopt_surely(r: Residence, seen: ActorRecord | None) -> bool:
    """Redis may go away in the midst of it: only the table's word makes us drop the files."""
    said = False
    while seen is not None and r.note.is_of(seen, r.owner.claimant().worker):
        r.record = seen
        try:
            return await _adopt(r, seen)
        except Superseded:
            break
        except (LifecycleError, LeaseLost, PlacementError) as error:
            if not said:
                log.warning(
                    "copy not adopted yet", extra={"actor": str(r.actor), "why": str(error)}
                )
            said = True
        await asyncio.sleep(_ASK_AGAIN_S)
        seen = await _read(r)
    log.warning("copy is not ours any more", extra={"actor": str(r.actor)})
    return False


async def _adopt(r: Residence, seen: ActorRecord) -> bool:
    if seen.state is ActorState.WAKING and not r.note.was_ready:
        # It was never ready, so nothing was served and its files may be half restored.
        await r.write(
            lambda fence, call: r.kit.table.release(
                fence, reason="its worker died while it woke", failed=False, call=call
            )
        )
        return False
    template = await r.kit.templates.get(r.actor.namespace, r.note.template)
    if template is not None:
        r.template = template.with_policy(seen.policy)
    if not await own_again(r):
        return False
    r.phase = Phase.FROZEN
    if template is not None and await _stands(r):
        assert r.handle is not None
        r.ready_at = r.looked_at = r.clock()
        r.gate.lead_to(r.handle.slug, r.handle.endpoints)
        open_line(r, r.handle.slug, r.handle.epoch)
        try:
            await lead_out(r)
        except OSError as error:
            log.warning("no way out", extra={"actor": str(r.actor), "why": str(error)})
        log.info("actor adopted", extra={"actor": str(r.actor), "epoch": r.record.epoch})
    else:
        # Its process died with the worker. The files are newer than its last snapshot: save them.
        r.exit = Exit()
        r.ready_at = float("-inf")
        log.info("files adopted", extra={"actor": str(r.actor), "epoch": r.record.epoch})
    r.awake.set_result(r.here())
    return True


async def _stands(r: Residence) -> bool:
    """Its process lives, and is frozen: the next request thaws it; nothing runs unasked after a
    crash."""
    if r.handle is None:
        return False
    try:
        if not (await r.driver.inspect(r.handle)).alive:
            return False
        await r.freeze()
    except (RuntimeFailure, OSError, Broken):
        return False
    return True
