"""Explanations are what the decision itself says."""

import pytest

from gateway.egress.explaining import explain
from tests.gateway.egress.documents import ACTOR, FACTS, document, http


@pytest.mark.parametrize(
    ("method", "url", "allowed", "last"),
    [
        ("POST", "https://api.openai.com/v1/chat/completions", True, "sent to api.openai.com:443"),
        ("GET", "https://api.github.com/repos/a/b", True, "sent to api.github.com:443 by TLS"),
        ("POST", "https://api.github.com/repos/a/b", False, "refused: route not found"),
        ("GET", "https://evil.com/", False, "refused: authorization failed: evil.com:443"),
        ("GET", "http://a.com/", False, "refused: bind not found"),
    ],
)
def test_verdicts(method: str, url: str, allowed: bool, last: str) -> None:
    verdict = explain(document(FACTS), ACTOR, method, url)
    assert verdict.allowed is allowed and verdict.steps[-1].startswith(last), verdict


def test_a_private_address_is_told() -> None:
    verdict = explain(
        http("[{backends: [{dynamic: {}}]}]"), ACTOR, "GET", "http://169.254.169.254/"
    )
    assert not verdict.allowed and "link-local" in verdict.steps[-1]


@pytest.mark.parametrize("url", ["ftp://a/", "nothing", "http://0x7f.1/"])
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(ValueError):  # either of its kinds
        explain(document(FACTS), ACTOR, "GET", url)


def test_budgets_that_count_it_are_told() -> None:
    more = """rouse: {budgets: [
      {name: calls, limit: {unit: Requests, amount: 9}, window: {rolling: 60s}},
      {name: daily, limit: {unit: USD, amount: 5}, window: {rolling: 24h},
       onBudgetExceeded: Audit, per: namespace}]}"""
    made = http("[{backends: [{host: 'h:1'}]}]", more)
    told = [
        [
            step
            for step in explain(made, ACTOR, "POST", f"http://a.com{path}").steps
            if "budget" in step
        ]
        for path in ("/x", "/v1/chat/completions")
    ]
    assert told[0] == ["counts against budget calls: 9 Requests in 60 s by this actor"]
    assert told[1][1].endswith("5 USD in 86400 s by this namespace, which is only watched")
