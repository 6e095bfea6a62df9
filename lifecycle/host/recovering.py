"""What an earlier incarnation of this worker left: adopt the copy that still runs, save the files
of the one that does not, kill what the table no longer calls ours."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lifecycle.errors import LifecycleError
from lifecycle.host.places import Copy, Note
from lifecycle.host.residence import LeaseLost, Phase, Residence, Superseded
from lifecycle.host.waking import own_again
from placement.errors import PlacementError
from placement.model import ActorRecord, ActorState
from runtimes.base import Exit

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 0.5


def recovery(copy: Copy, note: Note) -> Callable[[Residence], Awaitable[bool]]:
    """The beginning of a residence that is not a wake, for `life.live`."""

    async def begin(r: Residence) -> bool:
        r.copy, r.note, r.handle = copy, note, note.handle
        if note.handle is not None:
            r.driver = r.kit.drivers[note.handle.runtime]
        seen = await _read(r)
        if seen is None or not _is_ours(r, note, seen):
            log.warning("copy left behind is not ours any more", extra={"actor": str(r.actor)})
            return False
        r.record = seen
        try:
            return await _adopt(r, seen)
        except (LifecycleError, LeaseLost, Superseded) as error:
            log.warning("copy not adopted", extra={"actor": str(r.actor), "why": str(error)})
            return False

    return begin


async def _read(r: Residence) -> ActorRecord | None:
    while True:
        try:
            return await r.kit.table.read(r.actor)
        except PlacementError:
            await asyncio.sleep(_ASK_AGAIN_S)


def _is_ours(r: Residence, note: Note, seen: ActorRecord) -> bool:
    me = r.owner.claimant()
    return (
        seen.is_owned
        and (seen.uid, seen.epoch, seen.worker) == (note.uid, note.epoch, me.worker)
        and seen.incarnation != me.incarnation
    )


async def _adopt(r: Residence, seen: ActorRecord) -> bool:
    if seen.state is ActorState.WAKING:
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
    lives = r.handle is not None and (await r.driver.inspect(r.handle)).alive
    if not await own_again(r):
        return False
    r.phase = Phase.FROZEN
    if lives and template is not None:
        assert r.handle is not None
        r.ready_at = r.clock()
        r.gate.lead_to(r.handle.slug, r.handle.endpoints)
        await r.freeze()  # the next request thaws it; nothing runs unasked after a crash
        log.info("actor adopted", extra={"actor": str(r.actor), "epoch": r.record.epoch})
    else:
        # Its process died with the worker. The files are newer than its last snapshot: save them.
        r.exit = Exit()
        r.ready_at = float("-inf")
        log.info("files adopted", extra={"actor": str(r.actor), "epoch": r.record.epoch})
    r.awake.set_result(r.here())
    return True
