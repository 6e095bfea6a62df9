"""The tree of errors. What each becomes over HTTP is the edge's and the API's table."""

import inspect

import pytest

from lifecycle import errors
from lifecycle.errors import LifecycleError, StartFailed
from placement.model import ActorId

ALL = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LifecycleError) and kind is not LifecycleError
]
ACTOR = ActorId("demo", "c1")


@pytest.mark.parametrize("kind", ALL)
def test_each_says_what_and_of_which_actor(kind: type[LifecycleError]) -> None:
    error = kind("the disk is full", actor=ACTOR)
    assert (str(error), error.actor) == ("the disk is full", ACTOR)
    assert inspect.getdoc(kind)


@pytest.mark.parametrize("kind", ALL)
def test_a82_what_may_pass_says_when_to_come_again(kind: type[LifecycleError]) -> None:
    final = {
        "NoSuchActor",
        "NoSuchPort",
        "NoSuchTemplate",
        "NoSuchWorker",
        "TemplateInUse",
        "TemplateConflict",
        "ActorExists",
        "WrongNamespace",
        "ActorBusy",
        "NotSuspended",
        "NotHere",
        "SnapshotRefused",
    }
    after = kind("x").retry_after_s
    assert (after is None) == (kind.__name__ in final)
    assert after is None or after >= 1


def test_no_error_is_caught_as_another() -> None:
    """They travel between processes by their names; one that is also another would change there."""
    assert all(kind.__bases__ == (LifecycleError,) for kind in ALL)


def test_a_failed_start_knows_its_own_back_off() -> None:
    assert StartFailed("x", retry_after_s=42.0).retry_after_s == 42.0
    assert StartFailed("x", retry_after_s=0.0).retry_after_s == 0.0
    assert StartFailed("x").retry_after_s == 1.0
