"""Forgotten writes: who is right where a record is not what its owner was last told. No I/O.

A failover may forget the last writes, an empty server all of them. What tells it is that the record
is behind: epochs and revisions of an actor only grow. Of a record that is missing, or of another
actor of that name, only whoever knows that the table lost something can say so.
"""

from enum import StrEnum
from typing import Protocol

from placement.model import OWNED, ActorState


class Standing(Protocol):
    """What this judges of a record."""

    @property
    def uid(self) -> str: ...
    @property
    def state(self) -> ActorState: ...
    @property
    def epoch(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def snapshot(self) -> object: ...
    @property
    def worker(self) -> str | None: ...


class Verdict(StrEnum):
    KNOWN = "known"
    """The record is what its owner was told, or that owner's own later word."""
    OURS = "ours"
    """It has forgotten us, and nobody else served since: to be owned (or committed) anew."""
    OURS_LATER = "ours-later"
    """Somebody serves by it whose epoch is lower, and ours has a durable snapshot that the record
    does not know: to be owned anew, and served only when that copy has provably stopped."""
    THEIRS = "theirs"
    """Somebody else's word is newer: our copy ends before it serves again."""


def judge(
    mine: Standing, seen: Standing | None, *, is_lossy: bool = False, was_alone: bool = False
) -> Verdict:
    """`mine` is the last answer that the owner was given, `seen` a record read after it.
    `is_lossy`: the table is known to have lost writes since, so that a missing record may be lost
    and not deleted. `was_alone`: our lease has held since before anything was forgotten, and we
    have not said that we looked: nobody else can serve since, whatever the record says."""
    if seen is None:
        return Verdict.OURS if is_lossy else Verdict.THEIRS
    if seen.uid != mine.uid:
        # Deleted and made anew, or forgotten and made anew; in doubt the table is right.
        return _over(mine, seen, was_alone) if is_lossy else Verdict.THEIRS
    if seen.epoch > mine.epoch:
        return Verdict.THEIRS
    if seen.epoch < mine.epoch:
        return _over(mine, seen, was_alone)
    if seen.state is ActorState.WAKING and mine.state is not ActorState.WAKING:
        return Verdict.OURS  # a claim of an epoch that was ours: nothing was served by it
    if seen.state in OWNED and seen.worker != mine.worker:
        return Verdict.THEIRS  # the two are equal, and the one in the table stays
    if seen.revision < mine.revision:
        return Verdict.OURS
    if seen.state in OWNED or seen.state is mine.state:
        return Verdict.KNOWN
    # Nobody's at our epoch: a late call of ours, unless it is not even later.
    return Verdict.OURS if seen.revision == mine.revision else Verdict.THEIRS


def _over(mine: Standing, seen: Standing, was_alone: bool) -> Verdict:
    is_served = seen.state in OWNED and seen.state is not ActorState.WAKING
    if was_alone or not is_served or seen.worker == mine.worker:
        return Verdict.OURS
    is_higher = mine.epoch > seen.epoch
    is_durable = bool(mine.snapshot) and mine.snapshot != seen.snapshot
    return Verdict.OURS_LATER if is_higher and is_durable else Verdict.THEIRS
