"""What a client is told: every error has a row, and nothing of our machines goes out."""

import inspect
import json

import pytest

from gateway.ingress.failures import ROWS, render
from gateway.ingress.seams import Reason
from gateway.wiring.refusals import REASONS, refusal
from lifecycle import errors
from lifecycle.errors import (
    DependencyAway,
    Fenced,
    LifecycleError,
    NoCapacity,
    NoSuchActor,
    NoSuchPort,
    NotHere,
    QueueFull,
    QuotaReached,
    ShuttingDown,
    SnapshotFailed,
    SnapshotRefused,
    StartFailed,
    WakeTimedOut,
)
from placement.model import ActorId

ACTOR = ActorId("demo", "c1")
ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LifecycleError) and kind is not LifecycleError
]
INSIDE = "worker at 10.1.2.3:7000, unix:/var/lib/rouse/run/rpc.sock and /srv/rouse/copies/00ff-1"


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_row_and_an_answer(kind: type[LifecycleError]) -> None:
    assert kind in REASONS and REASONS[kind] in ROWS


@pytest.mark.parametrize(
    ("kind", "reason", "status"),
    [
        (NoSuchActor, Reason.NO_ACTOR, 404),
        (NoSuchPort, Reason.NO_PORT, 404),
        (QueueFull, Reason.QUEUE_FULL, 429),
        (QuotaReached, Reason.QUOTA, 429),
        (WakeTimedOut, Reason.WAKING, 503),
        (NoCapacity, Reason.NO_CAPACITY, 503),
        (StartFailed, Reason.FAILED_START, 503),
        (SnapshotRefused, Reason.FAILED_START, 503),
        (ShuttingDown, Reason.SHUTTING_DOWN, 503),
        (DependencyAway, Reason.UNAVAILABLE, 503),
        (Fenced, Reason.UNAVAILABLE, 503),
        (SnapshotFailed, Reason.UNAVAILABLE, 503),
        (NotHere, Reason.STALE_ROUTE, 421),
    ],
)
def test_a74_the_status_contract(kind: type[LifecycleError], reason: Reason, status: int) -> None:
    told = refusal(kind("x"), ACTOR, "r1")
    assert told.reason is reason and ROWS[reason].status == status and told.actor == ACTOR


@pytest.mark.parametrize("kind", ALL)
def test_a78_no_address_and_no_path_of_ours_goes_out(
    kind: type[LifecycleError], caplog: pytest.LogCaptureFixture
) -> None:
    told = refusal(kind(f"cannot do it: {INSIDE}"), ACTOR, "r1")
    answer = render(told, b"r1", close=False, without_body=False).decode()
    for word in ("10.1.2.3", "7000", "/var", "rpc.sock", "/srv", "00ff"):
        assert word not in answer
    # Who runs rouse finds all of it, under the id that the client was given.
    (line,) = caplog.records
    assert INSIDE in vars(line)["why"] and vars(line)["request_id"] == "r1"


def test_an_error_that_no_row_knows_is_told_in_general_words() -> None:
    class OfALaterVersion(LifecycleError):
        pass

    told = refusal(OfALaterVersion("secret plans"), ACTOR, "r1")
    assert (told.reason, told.message) == (
        Reason.UNAVAILABLE,
        "this actor cannot be reached just now",
    )


@pytest.mark.parametrize(
    "said",
    [
        "demo/c1 exited with status 3 before it was ready",
        "demo/c1 was not ready in 20 s: GET /healthz answered 500",
        "demo/c1 could not be started: cannot start 'python9': no such program",
        "demo/c1 is of template counter, which does not exist",
        "demo/c1 took 1.5 s, version 3.11.2 of 2026/11/23",
    ],
)
def test_a57_what_speaks_of_the_actor_itself_goes_out_whole(
    said: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal(StartFailed(said), ACTOR, "r1").message == said
    assert caplog.records == []


def test_a_path_in_a_drivers_words_is_cut_out_of_them() -> None:
    said = "demo/c1 could not be started: working directory /srv/apps/counter is not there"
    told = refusal(StartFailed(said), ACTOR, "r1")
    assert told.message == ("demo/c1 could not be started: working directory (..) is not there")


def test_a82_the_time_to_come_again_is_the_errors_own() -> None:
    told = refusal(StartFailed("backs off", retry_after_s=41.2), ACTOR, "r1")
    answer = render(told, b"r1", close=False, without_body=False)
    assert b"\r\nRetry-After: 42\r\n" in answer
    body = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (body["code"], body["reason"], body["actor"]) == (503, "failed-start", "demo/c1")
