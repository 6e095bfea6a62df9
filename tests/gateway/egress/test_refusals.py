"""Answers of ours: agentgateway's codes and words first, a reason for the agent second."""

from gateway.egress.refusals import Refusal, Refused, answer_to


def test_the_first_line_is_agentgateways() -> None:
    answer = answer_to(Refusal(Refused.FORBIDDEN, "a.com:443 is in no route"))
    assert answer.status == 403
    assert answer.body == b"authorization failed\na.com:443 is in no route\n"
    assert ("content-type", "text/plain") in answer.headers


def test_who_is_unknown_is_asked_for_a_token() -> None:
    answer = answer_to(Refusal(Refused.NO_IDENTITY, "x"))
    assert answer.status == 407
    assert b"\r\nproxy-authenticate: Basic realm=" in answer.to_bytes(close=False)


def test_a_budget_is_told_as_llm_sdks_read_it() -> None:
    answer = answer_to(Refusal(Refused.BUDGET, "daily"))
    assert answer.status == 429 and b'"code":"budget_exceeded"' in answer.body


def test_an_answer_to_head_has_no_body() -> None:
    raw = answer_to(Refusal(Refused.RATE, "later")).to_bytes(close=True, is_head=True)
    assert raw.endswith(b"\r\n\r\n") and b"connection: close" in raw
