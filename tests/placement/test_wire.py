"""Records as Redis has them. That the scripts write them so: test_table."""

import pytest

from placement import wire
from placement.errors import RecordRefused
from placement.model import ALLOWED_FROM, ActorId, ActorState, Operation

C1 = ActorId.of("demo", "c1")
FIELDS = {
    b"u": b"uid",
    b"s": b"S",
    b"e": b"3",
    b"r": b"9",
    b"t": b"counter",
    b"m": b"1",
    b"a": b"2",
}


def test_every_state_has_one_letter() -> None:
    assert set(wire.LETTER) == set(ActorState)
    assert len(wire.STATE) == len(ActorState)
    assert all(len(letter) == 1 for letter in wire.STATE)


def test_from_states_are_those_of_the_model() -> None:
    for operation in Operation:
        written = wire.letters(ALLOWED_FROM[operation])
        assert {wire.STATE[letter] for letter in written} == ALLOWED_FROM[operation]


def test_release_leads_to_suspended_first_then_to_failed() -> None:
    # release.lua takes the letters by their place.
    assert wire.letters({ActorState.FAILED, ActorState.SUSPENDED}) == "SF"


def test_absent_fields_are_absent() -> None:
    record = wire.decode(C1, FIELDS)
    assert record is not None
    assert (record.snapshot, record.worker, record.deadline_ms) == (None, None, None)
    assert record.failures == 0


def test_tombstone_is_no_actor() -> None:
    assert wire.decode(C1, {}) is None
    assert wire.decode(C1, {b"u": b"uid", wire.GONE: b"1"}) is None


@pytest.mark.parametrize("wrong", [{b"s": b"?"}, {b"e": b"many"}, {b"u": b"\xff"}])
def test_record_of_another_version_is_refused_by_name(wrong: dict[bytes, bytes]) -> None:
    with pytest.raises(RecordRefused, match="demo/c1"):
        wire.decode(C1, FIELDS | wrong)
    with pytest.raises(RecordRefused):
        wire.decode(C1, {b"u": b"uid"})


def test_what_is_not_there_is_sent_empty() -> None:
    assert wire.encode(["a", None, 7]) == ["a", "", "7"]
