"""The records that cross processes: they arrive as they were sent, and foreign ones do not."""

import msgspec
import pytest

from lifecycle.messages import (
    Full,
    Here,
    Phases,
    Refused,
    Resident,
    SuspendAsk,
    There,
    WakeAnswer,
    WakeAsk,
    WorkerStatus,
)
from placement.model import ActorId

ACTOR = ActorId("demo", "c1")
HERE = Here(
    uid="00ff", epoch=3, worker="w1", door="unix:/d", phases=Phases(total=12.5, claim=1), began=True
)
RESIDENT = Resident(
    actor=ACTOR,
    epoch=3,
    state="frozen",
    runtime="process",
    tickets=0,
    idle_s=1.5,
    pid=None,
    memory_bytes=10,
)


@pytest.mark.parametrize(
    "answer",
    [
        HERE,
        There(worker="w2", rpc="10.0.0.2:7000"),
        Full(evictable=True),
        Refused(error="StartFailed", message="exited with status 1", retry_after_s=2.0),
        Refused(error="NoSuchActor", message="no actor demo/c1"),
    ],
)
def test_each_answer_arrives_as_itself(answer: WakeAnswer) -> None:
    assert msgspec.json.decode(msgspec.json.encode(answer), type=WakeAnswer) == answer


@pytest.mark.parametrize(
    "record",
    [
        WakeAsk(actor=ACTOR, wait_ms=30_000, request_id="r1"),
        SuspendAsk(actor=ACTOR, wait_ms=5, force=True, discard=True),
        WorkerStatus(worker="w1", incarnation="i", actors=(RESIDENT,), draining=False),
    ],
)
def test_each_question_and_the_status_arrive_as_they_were_sent(record: msgspec.Struct) -> None:
    arrived = msgspec.json.decode(msgspec.json.encode(record), type=type(record))
    assert arrived == record
    if isinstance(arrived, WakeAsk | SuspendAsk):
        assert isinstance(arrived.actor, ActorId)


def test_what_a_newer_version_says_beyond_is_passed_over() -> None:
    """Gateways and workers are not replaced in the same second."""
    said = {**msgspec.to_builtins(HERE), "zone": "b"}
    assert msgspec.convert(said, WakeAnswer) == HERE


@pytest.mark.parametrize(
    "said", [b'{"type":"elsewhere"}', b"{}", b"[]", b'{"type":"here","uid":"1"}', b"true"]
)
def test_an_answer_of_no_known_kind_is_refused(said: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(said, type=WakeAnswer)
