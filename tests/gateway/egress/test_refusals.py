"""Answers of ours: agentgateway's codes and words first, a reason for the agent second."""

import json

import pytest

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


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "authentication failure: no bearer token found"),
        (401, "api key authentication failure: no API Key found"),
        (401, "api key authentication failure: invalid credentials"),
        (401, "basic authentication failure: no basic authentication credentials found"),
        (401, "basic authentication failure: invalid credentials"),
        (403, "authorization failed"),
        (403, "external authorization failed"),
        (404, "route not found"),
        (404, "bind not found"),
        (404, "listener not found"),
        (400, "invalid request"),
        (405, "method not allowed"),
        (421, "misdirected request"),
        (429, "rate limit exceeded"),
        (500, "no valid backends"),
        (500, "backend authentication failed"),
        (500, "failed to apply filters"),
        (500, "rate limit failed"),
        (502, "request upgrade failed"),
        (503, "backends required DNS resolution which failed"),
        (503, "upstream call failed"),
        (503, "processing failed"),
        (504, "request timeout"),
        (504, "upstream call timeout"),
    ],
)
def test_codes_and_words_are_agentgateways(status: int, words: str) -> None:
    """`backend does not exist` can't happen here: such a document is refused when it is read."""
    (what,) = [each for each in Refused if (each.status, each.words) == (status, words)]
    assert answer_to(Refusal(what, "why")).body == f"{words}\nwhy\n".encode()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("model_not_allowed", 403, "invalid_request_error"),
        ("model_authorization_denied", 403, "invalid_request_error"),
        ("model_not_found", 404, "invalid_request_error"),
        ("request_body_too_large", 413, "invalid_request_error"),
        ("budget_exceeded", 429, "rate_limit_error"),
    ],
)
def test_what_sdks_read_is_json(code: str, status: int, kind: str) -> None:
    name = "BUDGET" if code == "budget_exceeded" else code.upper()
    answer = answer_to(Refusal(Refused[name], ""))
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["type"]) == (status, code, kind)
    assert ("content-type", "application/json") in answer.headers
