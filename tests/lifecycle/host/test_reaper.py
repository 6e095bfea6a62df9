"""The reaper's rules, as values. How the steps are carried out is test_life's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.host.reaper import YIELDS, Cause, Do, Order, Rules, Step, View, decide

RULES = Rules(freeze_after=5.0, suspend_after=60.0)
IDLE = View(now=100.0, tickets=0, waiting=0, is_frozen=False, last_active=100.0)


def at(seconds: float, view: View = IDLE) -> View:
    return replace(view, now=view.last_active + seconds)


def test_an_active_actor_is_looked_at_again_when_it_may_freeze() -> None:
    assert decide(at(0), RULES) == Step(do=Do.WAIT, until=105.0)


def test_idle_actor_freezes_then_suspends() -> None:
    assert decide(at(5), RULES).do is Do.FREEZE
    frozen = replace(IDLE, is_frozen=True)
    assert decide(at(5, frozen), RULES) == Step(do=Do.WAIT, until=160.0)
    assert decide(at(60, frozen), RULES).do is Do.SUSPEND


def test_never_is_never() -> None:
    rules = Rules(freeze_after=None, suspend_after=None)
    assert decide(at(1e9), rules) == Step(do=Do.WAIT, until=None)


@pytest.mark.parametrize("seconds", [5, 60, 1e6])
def test_an_open_ticket_holds_it_awake(seconds: float) -> None:
    assert decide(at(seconds, replace(IDLE, tickets=1)), RULES) == Step(do=Do.WAIT)


@pytest.mark.parametrize("seconds", [5, 60, 1e6])
def test_a49_an_open_call_of_its_own_holds_it_awake(seconds: float) -> None:
    assert decide(at(seconds, replace(IDLE, calls=1)), RULES) == Step(do=Do.WAIT)


def test_a_call_on_its_way_when_it_was_frozen_thaws_it() -> None:
    assert decide(at(59, replace(IDLE, is_frozen=True, calls=1)), RULES).do is Do.THAW


def test_an_eviction_is_given_up_for_a_call_and_a_person_waits_for_it() -> None:
    calling = replace(IDLE, calls=1)
    for cause in YIELDS:
        order = Order(cause=cause, until=100.0)
        assert decide(replace(calling, order=order), RULES).do is Do.REFUSE
    asked = Order(cause=Cause.ASKED, until=110.0)
    assert decide(replace(calling, order=asked), RULES) == Step(do=Do.WAIT, until=110.0)
    late = replace(calling, now=110.0)
    assert decide(replace(late, order=asked), RULES).do is Do.REFUSE
    assert decide(replace(late, order=replace(asked, force=True)), RULES).do is Do.CUT


def test_a_waiting_request_thaws_a_frozen_actor() -> None:
    assert decide(at(59, replace(IDLE, is_frozen=True, waiting=1)), RULES).do is Do.THAW


def test_a_failed_suspend_is_not_tried_again_at_once() -> None:
    frozen = replace(IDLE, is_frozen=True, not_before=170.0)
    assert decide(at(61, frozen), RULES) == Step(do=Do.WAIT, until=170.0)
    assert decide(at(70, frozen), RULES).do is Do.SUSPEND


def test_an_eviction_is_given_up_for_a_request() -> None:
    order = Order(cause=Cause.EVICT, until=100.0)
    assert decide(replace(IDLE, order=order, waiting=1, is_frozen=True), RULES).do is Do.REFUSE
    assert decide(replace(IDLE, order=order, tickets=1), RULES).do is Do.REFUSE
    assert decide(replace(IDLE, order=order), RULES).do is Do.SUSPEND


def test_an_asked_suspend_waits_for_tickets_then_says_busy_or_cuts() -> None:
    order = Order(cause=Cause.ASKED, until=130.0)
    busy = replace(IDLE, order=order, tickets=2)
    assert decide(busy, RULES) == Step(do=Do.WAIT, until=130.0)
    assert decide(replace(busy, now=130.0), RULES).do is Do.REFUSE
    forced = replace(busy, now=130.0, order=replace(order, force=True))
    assert decide(forced, RULES).do is Do.CUT


def test_an_asked_suspend_is_not_given_up_for_a_request() -> None:
    order = Order(cause=Cause.ASKED, until=130.0)
    assert decide(replace(IDLE, order=order, waiting=3, is_frozen=True), RULES).do is Do.SUSPEND


@given(
    st.builds(
        View,
        now=st.floats(0, 1e6),
        tickets=st.integers(0, 3),
        waiting=st.integers(0, 3),
        is_frozen=st.booleans(),
        last_active=st.floats(0, 1e6),
        order=st.none() | st.builds(Order, cause=st.sampled_from(Cause), until=st.floats(0, 1e6)),
        not_before=st.floats(0, 1e6),
    )
)
def test_p4_no_step_sleeps_an_actor_with_a_ticket_out(view: View) -> None:
    step = decide(view, RULES)
    if view.tickets:
        assert step.do not in (Do.SUSPEND, Do.FREEZE)
    if view.waiting and (view.order is None or view.order.cause in YIELDS):
        assert step.do not in (Do.SUSPEND, Do.FREEZE)


@pytest.mark.parametrize("tickets", [0, 3])
def test_a_checkpoint_is_due_under_traffic_too(tickets: int) -> None:
    rules = replace(RULES, freeze_after=None, checkpoint_every=30.0)
    view = replace(IDLE, tickets=tickets, looked_at=80.0)
    assert decide(view, rules) == Step(do=Do.WAIT, until=110.0)
    assert decide(at(10, view), rules).do is Do.CHECKPOINT
    assert decide(at(10, replace(view, is_frozen=True)), rules).do is Do.CHECKPOINT


def test_a_suspend_and_a_request_come_before_a_checkpoint() -> None:
    rules = replace(RULES, checkpoint_every=1.0)
    assert decide(at(60), rules).do is Do.SUSPEND
    assert decide(replace(IDLE, is_frozen=True, waiting=1), rules).do is Do.THAW
    order = Order(cause=Cause.ASKED, until=130.0)
    assert decide(replace(IDLE, order=order), rules).do is Do.SUSPEND
