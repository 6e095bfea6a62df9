"""rouse's own part of a document."""

import pytest

from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document


def _credential(text: str) -> str:
    return f"rouse: {{credentials: [{{name: a, hosts: [h.com], {text}}}]}}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("from: {}", "exactly one of"),
        ("from: {env: A, file: b}", "exactly one of"),
        ("from: {env: A}, placeholder: short", "8 to 128"),
        ("from: {env: A}, placeholder: rouse-placeholder, basic: {username: u}", "not by basic"),
        ("from: {http: {url: 'http://vault.corp/x'}}", "come over https"),
        ("basic: {username: u}", "has `from`"),
        ("from: {env: A, ttl: never}", "has an end"),
    ],
)
def test_credentials_are_checked(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        document(_credential(text))


def test_a_credential_says_where_it_may_go() -> None:
    with pytest.raises(NotUnderstood, match="hosts"):
        document("rouse: {credentials: [{name: a, hosts: [], from: {env: A}}]}")


def test_a_whole_credential() -> None:
    made = document(_credential("from: {command: [pass, show], ttl: 5m}, basic: {username: u}"))
    (credential,) = made.credentials
    assert credential.source.command == ("pass", "show") and credential.source.ttl_s == 300
    assert credential.username == "u"


def test_budgets_are_checked() -> None:
    budget = "rouse: {budgets: [{name: a, limit: {unit: USD, amount: %s}, window: {rolling: %s}}]}"
    assert document(budget % (1.5, "1h")).budgets[0].window_s == 3600
    for amount, window in ((0, "1h"), (1, "never")):
        with pytest.raises(NotUnderstood):
            document(budget % (amount, window))
