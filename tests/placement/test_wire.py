"""Records as Redis has them. That the scripts write them so: test_table."""

import re

import msgspec
import pytest

from lifecycle.snapshots.names import new_name
from placement import wire
from placement.errors import RecordRefused
from placement.model import ALLOWED_FROM, ActorId, ActorState, Operation
from placement.scripts import source

C1 = ActorId.of("demo", "c1")
FIELDS = ["=========uid", "S", 3, 9, "counter", 1, 2]


def packed(**changed: object) -> bytes:
    names = wire.Packed.__struct_fields__
    places: dict[str, object] = dict(zip(names, FIELDS, strict=False)) | changed
    return msgspec.msgpack.encode(list(places.values()))


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
    record = wire.decode(C1, packed())
    assert record is not None
    assert (record.snapshot, record.worker, record.deadline_ms) == (None, None, None)
    assert record.failures == 0


def test_tombstone_is_no_actor() -> None:
    assert wire.decode(C1, None) is None
    assert wire.decode(C1, packed(state=wire.GONE)) is None


@pytest.mark.parametrize("wrong", [{"state": "?"}, {"epoch": "many"}, {"uid": 7}])
def test_record_of_another_version_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordRefused, match="demo/c1"):
        wire.decode(C1, packed(**wrong))


def test_record_with_more_or_fewer_places_is_refused() -> None:
    for places in (FIELDS[:6], FIELDS + [""] * 20):
        with pytest.raises(RecordRefused):
            wire.decode(C1, msgspec.msgpack.encode(places))


def test_places_are_those_of_the_scripts() -> None:
    text, _ = source("record")
    (listed,) = re.findall(r"local PLACES = \{(.*?)\}", text, re.DOTALL)
    assert len(re.findall(r"'(\w)'", listed)) == len(wire.Packed.__struct_fields__)


@pytest.mark.parametrize("epoch", [0, 7, 123_456])
def test_a_snapshots_name_comes_back_as_it_was_and_takes_ten_bytes_less(epoch: int) -> None:
    for _ in range(50):
        name = new_name(epoch)
        kept = wire.pack_snapshot(name)
        assert isinstance(kept, bytes) and len(kept) == len(name) - 10
        assert wire.unpack_snapshot(kept) == name


@pytest.mark.parametrize(
    "other",
    [
        "00ff00ff00ff00ff:3-abcdefghijklmnopqrstuvwxya",  # another actor's, as a fork has it
        "3-snapshot",
        "3-abcdefghijklmnopqrstuvwxyb",  # 130 bits: 16 bytes cannot say so
        "99999999999-abcdefghijklmnopqrstuvwxya",
    ],
)
def test_any_other_snapshots_id_is_kept_as_text(other: str) -> None:
    assert wire.pack_snapshot(other) == other
    assert wire.unpack_snapshot(other.encode()) == other


def test_ids_come_back_as_they_were_whatever_they_are_made_of() -> None:
    for uid in ("00ff00ff00ff00ff", "short", "=", "0123456789ABCDEF", "a" * 64):
        kept = uid if len(uid) != 16 or uid.upper() == uid else ""
        text = kept and "=" * 9 + kept
        raw = msgspec.msgpack.encode(text) if text else b"\xa8" + bytes.fromhex(uid)
        record = wire.decode(C1, packed(uid=msgspec.Raw(raw)))
        assert record is not None and record.uid == uid


def test_what_is_not_there_is_sent_empty() -> None:
    assert wire.encode(["a", None, 7]) == ["a", "", "7"]
