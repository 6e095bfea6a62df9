"""Records become resources without losing or adding a fact."""

import msgspec

from gateway.control.resources import Actor, Woken, Worker
from lifecycle.messages import Here, Phases
from placement.model import ActorId, ActorRecord, ActorState, WorkerRecord


def test_an_actor_that_was_never_active_says_null() -> None:
    record = ActorRecord(
        actor=ActorId("demo", "c1"),
        uid="u",
        state=ActorState.FAILED,
        epoch=3,
        revision=9,
        template="counter",
        reason="exited with status 3",
        failures=3,
        created_ms=1_700_000_000_123,
        policy='{"idle":"never"}',
    )
    shown = msgspec.to_builtins(Actor.of(record))
    assert shown["created"] == "2023-11-14T22:13:20.123Z" and shown["active"] is None
    assert (shown["state"], shown["reason"], shown["failures"]) == (
        "FAILED",
        "exited with status 3",
        3,
    )
    assert shown["policy"] == {"idle": "never"} and "wake" not in shown


def test_a_worker_is_shown_with_its_labels() -> None:
    record = WorkerRecord(
        worker="w1",
        incarnation="i",
        door="unix:/d",
        rpc="unix:/r",
        slots=4,
        free=1,
        runtimes=("process",),
        labels={"zone": "a"},
    )
    shown = Worker.of(record)
    assert (shown.id, shown.free, shown.runtimes) == ("w1", 1, ["process"])
    assert shown.labels == {"zone": "a"} and shown.heartbeat is None


def test_phases_are_told_to_a_tenth_of_a_millisecond() -> None:
    phases = Phases(total=63.00000000010186, ready=0.04)
    here = Here(uid="u", epoch=1, worker="w1", door="d", phases=phases, began=True)
    told = Woken.of(here).phases
    assert (told.total, told.ready) == (63.0, 0.0)
