"""All states of the modelled protocol within a bound of faults, and the mistakes it would find.

The whole of it, with more faults: `make model`. What is modelled, and what is not: docs/model.md.
"""

import pytest

from tests.model.calls import Rules
from tests.model.explore import Explored, explore
from tests.model.world import STEPS

BUGS = {
    "no fence check": "P1",
    "no look at the lease": "P1",
    "no margin": "P1",
    "renew a lapsed lease": "P1",
    "adopt without comparing": "P1",
    "any lease will do": "P1",
    "no second look": "P1",
    "no look at the head": "P1",
    "take back after commit was sent": "P1",
    "commit without manifest": "P2",
}
"""Planted mistakes, and the promise that each of them breaks."""


@pytest.fixture(scope="module")
def explored() -> Explored:
    found = explore(Rules(faults=1))
    print(f"\nmodel: {found}")  # noqa: T201 # the count is the result
    return found


def test_p1_p2_p3_p4_hold_in_every_state_with_any_one_fault(explored: Explored) -> None:
    assert not explored.violation, "\n".join((explored.violation, *explored.trace))
    assert explored.is_whole and explored.states > 50_000


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_mistake_is_found(bug: str) -> None:
    found = explore(Rules(faults=1, bug=bug))
    assert found.violation.startswith(BUGS[bug]), found


@pytest.fixture(scope="module")
def saving() -> Explored:
    found = explore(Rules(faults=1, late=0, gateways=1, checkpoints=True))
    print(f"\nmodel, with checkpoints: {found}")  # noqa: T201 # the count is the result
    return found


def test_p1_p2_p3_p4_hold_where_running_copies_are_saved_now_and_then(saving: Explored) -> None:
    assert not saving.violation, "\n".join((saving.violation, *saving.trace))
    assert saving.is_whole


def test_a_late_checkpoint_over_a_newer_one_is_found() -> None:
    rules = Rules(faults=1, gateways=1, checkpoints=True, bug="no revision in the fence")
    found = explore(rules)
    assert found.violation.startswith("P2: an older snapshot"), found


FORGETFUL_BUGS = {"claims are not settled": "P1", "a forgotten suspend is left so": "P2"}


@pytest.fixture(scope="module")
def forgetful() -> Explored:
    found = explore(Rules(faults=1, failover=True, gateways=1))
    print(f"\nmodel, with a failover: {found}")  # noqa: T201 # the count is the result
    return found


def test_p1_p2_p3_p4_hold_over_a_failover_that_forgets_the_last_writes(
    forgetful: Explored,
) -> None:
    """Where replicas are not waited for."""
    assert not forgetful.violation, "\n".join((forgetful.violation, *forgetful.trace))
    assert forgetful.is_whole


@pytest.mark.parametrize("bug", FORGETFUL_BUGS)
def test_a_planted_mistake_about_forgotten_writes_is_found(bug: str) -> None:
    found = explore(Rules(faults=1, failover=True, gateways=1, bug=bug))
    assert found.violation.startswith(FORGETFUL_BUGS[bug]), found


def test_every_await_of_the_code_is_stood_before(
    explored: Explored, forgetful: Explored, saving: Explored
) -> None:
    # It takes a second fault beside the failover: `make model`.
    rare = {"ready_settle"}
    assert (explored.places | forgetful.places | saving.places) - {""} == set(STEPS) - rare
