"""A request's bytes: what waits, is kept, goes again. That it really does is test_retrying's."""

from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.forwarding import Forward
from gateway.egress.outgoing import MOST_KEPT, Outgoing
from gateway.egress.plan import Plan, make
from tests.gateway.egress.documents import ask, decided, decider, http

RETRIED = "[{policies: {retry: {attempts: 2, codes: [503]}}, backends: [{host: 'h:1'}]}]"


def _plan() -> Plan:
    made, asked = decider(http(RETRIED)), ask("a.com", method="PUT")
    forward = decided(made, asked)
    assert isinstance(forward, Forward)
    return make(forward, asked, Secrets({}, fetch), caller="c", decider=made)


def test_what_was_sent_goes_again_with_the_number_of_the_try() -> None:
    plan = _plan()
    out = Outgoing(plan.head)
    out.wait(plan.head)
    out.wait(b"body")
    assert out.take() == plan.head + b"body" and out.was_sent
    out.keep(b" more")
    for number in (b"1", b"2"):
        assert out.may_try_again(plan)
        out.rewind(plan)
        out.wait(b"!")  # came of the actor in between
        out.restart(plan)
        sent = out.take()
        head, _end, body = sent.partition(b"\r\n\r\n")
        assert head.endswith(b"x-retry-attempt: " + number)
        assert body == b"body more" + b"!" * int(number)
    assert not out.may_try_again(plan)


def test_what_never_went_out_goes_as_it_waits() -> None:
    plan = _plan()
    out = Outgoing(plan.head)
    out.wait(plan.head + b"bo")
    out.wait(b"dy")
    out.rewind(plan)
    out.restart(plan)
    assert out.take().endswith(b"\r\n\r\nbody")


def test_what_is_too_long_is_sent_once() -> None:
    plan = _plan()
    out = Outgoing(plan.head)
    out.wait(plan.head)
    out.take()
    out.keep(b"x" * MOST_KEPT)
    assert not out.is_kept and not out.may_try_again(plan)


def test_a_repeated_request_is_not_repeated_again() -> None:
    out = Outgoing(b"head")
    out.wait(b"head")
    out.take()
    out.repeat()
    assert out.size == 4 and out.take() == b"head" and out.size == 0 and not out.is_kept
