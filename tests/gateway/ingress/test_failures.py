"""The status contract, row by row, as bytes."""

import json

import pytest

from gateway.ingress.codec.grammar import Fault, Malformed
from gateway.ingress.failures import ROWS, refusal_of, render, render_redirect, wake_fields
from gateway.ingress.seams import Reason, Refusal, WakeReport
from placement.model import ActorId

A1 = ActorId("demo", "a1")


@pytest.mark.parametrize("reason", Reason)
def test_a78_every_reason_has_its_row_and_says_the_same_in_head_and_body(reason: Reason) -> None:
    text = render(Refusal(reason, 'so "it" is', actor=A1), b"r1", close=False, without_body=False)
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % ROWS[reason].status)
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head and b"\r\nX-Request-Id: r1" in head
    assert json.loads(body)["error"] == {
        "code": ROWS[reason].status,
        "reason": reason.value,
        "message": 'so "it" is',
        "actor": "demo/a1",
        "request_id": "r1",
    }


@pytest.mark.parametrize("reason", Reason)
def test_a82_retry_after_stands_on_every_429_and_503_and_nowhere_else(reason: Reason) -> None:
    text = render(Refusal(reason, "m"), b"r", close=True, without_body=True)
    assert (b"\r\nRetry-After: 1\r\n" in text) is (ROWS[reason].status in (429, 503))
    assert text.endswith(b"\r\n\r\n") and b"\r\nConnection: close\r\n" in text


@pytest.mark.parametrize(("given", "said"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (30.0, 30)])
def test_a82_retry_after_is_whole_seconds_and_at_least_one(given: float, said: int) -> None:
    refusal = Refusal(Reason.FAILED_START, "m", retry_after_s=given)
    text = render(refusal, b"r", close=False, without_body=False)
    assert b"\r\nRetry-After: %d\r\n" % said in text


def test_only_a_stale_route_says_so() -> None:
    text = render(Refusal(Reason.STALE_ROUTE, "m"), b"r", close=False, without_body=False)
    assert text.startswith(b"HTTP/1.1 421 ") and b"\r\nRouse-Stale: 1" in text


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_the_codec_is_a_reason(fault: Fault) -> None:
    assert refusal_of(Malformed("m", fault)).reason in ROWS


def test_a80_the_wake_fields() -> None:
    report = WakeReport(kind="thaw", phases=(("total", 3.14159),))
    assert wake_fields(report) == b"\r\nRouse-Wake: thaw; total=3.1\r\nServer-Timing: total;dur=3.1"


def test_a_redirect_is_whole() -> None:
    assert render_redirect(b"/a/", b"r", close=True) == (
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: /a/\r\nContent-Length: 0\r\n"
        b"X-Request-Id: r\r\nConnection: close\r\n\r\n"
    )
