"""Bodies are read for a decision only where it rests on them."""

import pytest

from gateway.egress import needs
from gateway.egress.forwarding import Forward
from tests.gateway.egress.documents import ask, decided, decider, http

OPENAI = "{ai: {name: o, provider: {openAI: {%s}}}}"
CLAUDE = "{ai: {name: o, provider: {anthropic: {}}, policies: {ai: {%s}}}}"


@pytest.mark.parametrize(
    ("policies", "backend", "path", "reads"),
    [
        ("", "{dynamic: {}}", "/x", False),
        ("authorization: {rules: ['size(request.body) < 9']}", "{dynamic: {}}", "/x", True),
        (
            "transformations: {request: {set: {a: 'string(request.body)'}}}",
            "{dynamic: {}}",
            "/",
            True,
        ),
        ("", OPENAI % "", "/v1/chat/completions", True),
        ("", OPENAI % "", "/v1/embeddings", False),
        ("", OPENAI % "model: m", "/v1/embeddings", True),
        ("", OPENAI % "model: m", "/v1/files", False),
        ("", CLAUDE % "", "/v1/messages", False),
        ("", CLAUDE % "overrides: {a: 1}", "/v1/messages", True),
    ],
)
def test_which(policies: str, backend: str, path: str, reads: bool) -> None:
    asked, met = ask("a.com", path, method="POST"), []

    def meet(need: needs.Need) -> object:
        met.append(need)
        asked.body = b"{}"
        return asked.body

    made = http(f"[{{policies: {{{policies}}}, backends: [{backend}]}}]")
    sent = decided(decider(made), asked, meet=meet)
    assert isinstance(sent, Forward) and bool(met) is reads and sent.once is reads


def test_tokens_are_taken_before_the_call_where_it_is_said() -> None:
    made = decider(
        http(
            "[{policies: {localRateLimit: [{maxTokens: 100, tokensPerFill: 1, fillInterval: 60s, "
            "type: tokens}]}, backends: "
            "[{ai: {name: o, tokenize: true, provider: {anthropic: {}}}}]}]"
        )
    )
    asked = ask("a.com", "/v1/messages", method="POST")
    asked.body = b'{"x": "' + b"x" * 272 + b'"}'
    sent = decided(made, asked)
    assert isinstance(sent, Forward) and sent.reserved == 70
    from gateway.egress.refusals import Refusal, Refused

    with pytest.raises(Refusal) as caught:
        decided(made, asked)
    assert caught.value.what is Refused.RATE
    made.charge(sent, 30, 0.0)  # it was less than was thought
    assert isinstance(decided(made, asked), Forward)
