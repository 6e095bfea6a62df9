"""Who is right where a record is not what its owner was told. On servers that forget:
tests/races/test_forgotten."""

from dataclasses import replace

import pytest

from placement.forgotten import Verdict, judge
from placement.model import ActorId, ActorRecord, ActorState

RUNS = ActorRecord(
    actor=ActorId.of("demo", "c1"),
    uid="u1",
    state=ActorState.RUNNING,
    epoch=5,
    revision=20,
    template="t",
    snapshot="4-a",
    worker="w1",
    incarnation="i1",
)
SLEPT = replace(RUNS, state=ActorState.SUSPENDED, incarnation=None, revision=22, snapshot="5-b")
BEFORE = replace(RUNS, state=ActorState.SUSPENDED, epoch=4, revision=17, incarnation=None)
OTHER = replace(RUNS, worker="w2", incarnation="i2")


@pytest.mark.parametrize("revision", [20, 21])
def test_the_owners_own_last_word_and_a_later_one_are_known(revision: int) -> None:
    assert judge(RUNS, replace(RUNS, revision=revision)) is Verdict.KNOWN


def test_a_record_behind_its_owner_has_forgotten_it() -> None:
    assert judge(RUNS, replace(RUNS, revision=19, state=ActorState.WAKING)) is Verdict.OURS
    assert judge(RUNS, BEFORE) is Verdict.OURS
    assert judge(SLEPT, RUNS) is Verdict.OURS
    assert judge(SLEPT, BEFORE) is Verdict.OURS


def test_a_claim_by_a_forgetful_record_yields_as_long_as_nothing_was_served_by_it() -> None:
    claimed = replace(OTHER, state=ActorState.WAKING, revision=18)
    assert judge(RUNS, claimed) is Verdict.OURS
    assert judge(RUNS, replace(claimed, epoch=3)) is Verdict.OURS
    assert judge(RUNS, replace(claimed, state=ActorState.RUNNING)) is Verdict.THEIRS


def test_a_newer_epoch_is_somebody_elses() -> None:
    assert judge(RUNS, replace(OTHER, epoch=6)) is Verdict.THEIRS
    assert judge(SLEPT, replace(SLEPT, epoch=6, revision=30)) is Verdict.THEIRS


@pytest.mark.parametrize("state", [ActorState.RUNNING, ActorState.SUSPENDING])
def test_of_two_that_served_the_higher_epoch_with_a_durable_snapshot_wins(
    state: ActorState,
) -> None:
    theirs = replace(OTHER, epoch=4, state=state)
    assert judge(RUNS, theirs) is Verdict.THEIRS  # it has our last snapshot
    assert judge(RUNS, replace(theirs, snapshot="3-c")) is Verdict.OURS_LATER
    assert judge(replace(RUNS, snapshot=None), replace(theirs, snapshot=None)) is Verdict.THEIRS


def test_a_suspend_of_ours_that_was_executed_late_is_not_forgotten() -> None:
    assert judge(RUNS, SLEPT) is Verdict.THEIRS
    assert judge(SLEPT, SLEPT) is Verdict.KNOWN


def test_at_our_epoch_and_revision_a_record_that_nobody_owns_has_another_past() -> None:
    assert judge(RUNS, replace(SLEPT, revision=20)) is Verdict.OURS


@pytest.mark.parametrize("seen", [None, replace(OTHER, uid="u2", epoch=1)])
def test_a_missing_actor_is_deleted_unless_the_table_is_known_to_have_lost_writes(
    seen: ActorRecord | None,
) -> None:
    assert judge(RUNS, seen) is Verdict.THEIRS
    wanted = Verdict.OURS if seen is None else Verdict.OURS_LATER
    mine = replace(RUNS, snapshot="4-a")
    other = seen and replace(seen, snapshot=None)
    assert judge(mine, other, is_lossy=True) is wanted
