"""When the table is not what it was: a copy that it has forgotten is owned anew, one that somebody
else owns by now ends before it serves again.

A copy in doubt serves on until the table has been asked, but not beyond the lease as it was when
the table was last known to name it: by then others may have its actor (`histories`).
"""

import asyncio
import logging
import random

import msgspec

from lifecycle.host.residence import LeaseLost, Residence
from placement.errors import PlacementError, TableUnavailable
from placement.forgotten import Verdict, judge
from placement.leases import boot_time
from placement.model import ActorRecord, ActorState, Answer, Claimant, new_uid

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 0.1


async def assert_again(r: Residence) -> bool:
    """Is it ours? Owned anew where the table has forgotten that. False: somebody else's by now.

    Raises LeaseLost, Superseded.
    """
    me = r.owner.claimant()
    while True:
        verdict, seen, was_alone = await _look(r, me)
        match verdict:
            case Verdict.THEIRS:
                if seen is not None and seen.worker != me.worker:
                    r.kit.meters.forgotten["ended"] += r.doubted_until is not None
                return False
            case Verdict.KNOWN:
                # A write that is refused by the very record it was made for: our own mistake.
                if seen is None or (r.was_refused and seen.revision == r.record.revision):
                    return False
                r.record = seen
                if seen.state is not ActorState.WAKING or await _ready(r, was_alone=was_alone):
                    break
            case Verdict.OURS | Verdict.OURS_LATER:
                is_later = verdict is Verdict.OURS_LATER
                if await _own(r, me, seen, is_later=is_later, was_alone=was_alone):
                    break
    r.doubted_until, r.was_refused = None, False
    r.owner.renew_soon()
    return True


async def _look(r: Residence, me: Claimant) -> tuple[Verdict, ActorRecord | None, bool]:
    while r.owner.has_lease(me.incarnation):
        try:
            seen = await r.kit.table.read(r.actor)
            is_lossy = False
            if seen is None or seen.uid != r.record.uid:
                # Asked after the read: what was lost before it is known by now.
                is_lossy = await r.owner.has_lost_writes()
            # By then others may take the actor without us (`settle`): looked at after the read.
            until = r.doubted_until
            was_alone = r.has_lease() and until is not None and boot_time() < until
            verdict = judge(r.record, seen, is_lossy=is_lossy, was_alone=was_alone)
            return verdict, seen, was_alone
        except PlacementError:
            await asyncio.sleep(_ASK_AGAIN_S)
    raise LeaseLost


async def _own(
    r: Residence, me: Claimant, seen: ActorRecord | None, *, is_later: bool, was_alone: bool
) -> bool:
    """False: the record moved since it was seen."""
    # Noted before, as in own_again: a next start must know the record as ours.
    claimants = (*r.note.claimants, me.incarnation)
    r.write_note(msgspec.structs.replace(r.note, claimants=claimants, was_ready=True))
    if is_later:
        r.gate.shut()
        r.gate.cut_all()
    answer = await _reasserted(r, me, seen)
    if not answer.is_done or answer.record is None:
        return False
    r.record = answer.record
    r.write_note(msgspec.structs.replace(r.note, epoch=r.record.epoch, claimants=()))
    r.was_refused = False
    if is_later:
        # Whoever served by the record looks at it before its lease is renewed, and ends.
        await asyncio.sleep(r.kit.leases.ttl_s + r.kit.leases.margin_s)
    return await _ready(r, was_alone=was_alone)


async def _ready(r: Residence, *, was_alone: bool) -> bool:
    """The last call of a copy that is owned anew. False: Redis is away, so look again."""
    histories = r.kit.leases.histories
    try:
        # Others may have had it meanwhile, by claims that are forgotten too. Where we were alone
        # nobody waits for more than this call: the look that follows settles it.
        for history in () if was_alone else await histories.now():
            await histories.settle_beside(history, r.owner.claimant().worker)
    except PlacementError:
        await asyncio.sleep(_ASK_AGAIN_S)
        return False
    await r.write(lambda fence, call: r.kit.table.ready(fence, call=call))
    r.kit.meters.forgotten["owned"] += 1
    log.error(
        "table had forgotten a running actor: owned anew",
        extra={"actor": str(r.actor), "epoch": r.record.epoch},
    )
    return True


async def _reasserted(r: Residence, me: Claimant, seen: ActorRecord | None) -> Answer:
    budget_ms, call = int(r.kit.settings.wake_budget_s * 1000), new_uid()
    while True:
        try:
            return await r.kit.table.reassert(r.record, seen, me, budget_ms=budget_ms, call=call)
        except TableUnavailable:
            if not r.owner.has_lease(me.incarnation):
                raise LeaseLost from None
            await asyncio.sleep(random.uniform(0.02, 0.2))


async def commit_again(r: Residence, held: ActorRecord) -> bool:
    """The record says that this worker has an actor that it put to sleep a moment ago: the suspend
    that was answered is forgotten, its snapshot is durable. True when it is committed once more."""
    slept = r.owner.asleep(r.actor)
    if slept is None or judge(slept, held) is not Verdict.OURS:
        return False
    answer = await r.kit.table.recommit(slept, held)
    if answer.is_done:
        tell_committed(r.kit.meters.forgotten, slept)
    return answer.is_done


def tell_committed(counts: dict[str, int], slept: ActorRecord) -> None:
    counts["committed"] = counts.get("committed", 0) + 1
    log.error(
        "table had forgotten a suspend: committed anew",
        extra={"actor": str(slept.actor), "epoch": slept.epoch},
    )
