"""Rebuilding: records of actors that slept when the table was lost, made anew from the store.

A record that is there is left alone: whoever made it knows more. Workers write back what runs by
themselves (`host.comparing`), and are given the time for it first.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from lifecycle.host.golden import is_golden
from lifecycle.snapshots.newest import Kept, Unreadable
from placement.model import ActorId, ActorRecord, ActorState
from placement.repeat import until_known
from placement.table import Table

log = logging.getLogger(__name__)

EPOCHS_ON = 1_000
"""Epochs that may have been given since the snapshot was saved and are known to nobody: none of
them is given again (P1)."""
_REVISIONS = 16
"""Of one epoch, at most: higher than any that an owner of before may still show."""
_CALL_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    rebuilt: int
    present: int
    """Had a record already."""
    older: int
    """Of an actor whose name another, later one has."""
    unreadable: int


async def rebuild(table: Table, stored: AsyncIterator[Kept | Unreadable]) -> Rebuilt:
    """Raises StoreError, PlacementError; what was done by then stands, and it may be repeated."""
    counts: Counter[str] = Counter()
    latest: dict[ActorId, Kept] = {}
    async for each in stored:
        if is_golden(each.uid):
            continue  # nobody's; made anew by who wants it
        if isinstance(each, Unreadable):
            counts["unreadable"] += 1
            log.warning(
                "actor not rebuilt: its newest snapshot cannot be read",
                extra={"namespace": each.namespace, "uid": each.uid, "why": each.why},
            )
            continue
        other = latest.get(each.actor)
        # Deleted and made anew, with the first one's snapshots left to the collector.
        counts["older"] += other is not None
        if other is None or each.saved_ms > other.saved_ms:
            latest[each.actor] = each
    for kept in latest.values():
        counts["rebuilt" if await _made(table, kept) else "present"] += 1
    done = Rebuilt(
        rebuilt=counts["rebuilt"],
        present=counts["present"],
        older=counts["older"],
        unreadable=counts["unreadable"],
    )
    log.warning("records made anew from the store", extra={"rebuilt": done.rebuilt})
    return done


async def _made(table: Table, kept: Kept) -> bool:
    record = ActorRecord(
        actor=kept.actor,
        uid=kept.uid,
        state=ActorState.SUSPENDED,
        epoch=kept.epoch + EPOCHS_ON,
        revision=_REVISIONS * (kept.epoch + EPOCHS_ON),
        template=kept.template,
        snapshot=kept.snapshot,
        reason="rebuilt from its snapshot",
        created_ms=kept.saved_ms,
        active_ms=kept.saved_ms,
    )
    deadline = asyncio.get_running_loop().time() + _CALL_S
    # As a suspend whose answer was forgotten: only where no record is there.
    answer = await until_known(
        lambda call: table.recommit(record, None, call=call), deadline=deadline
    )
    return answer.is_done
