"""Kinds of LLM requests, by the policy's words or the end of the path."""

import pytest

from gateway.egress.config.model import Ai
from gateway.egress.llm import kinds
from tests.gateway.egress.documents import ask

ROUTES = (("/v1/messages", "messages"), ("/models", "models"), ("*", "passthrough"))


@pytest.mark.parametrize(
    ("ai", "path", "kind"),
    [
        (Ai(provider="openai"), "/v1/chat/completions", "completions"),
        (Ai(provider="openai"), "/v1/files", "passthrough"),
        (Ai(provider="x", routes=ROUTES), "/a/v1/messages", "messages"),
        (Ai(provider="x", routes=ROUTES), "/v1/chat/completions", "passthrough"),
        (Ai(provider="x", routes=ROUTES[:1]), "/anything", "completions"),
    ],
)
def test_kinds(ai: Ai, path: str, kind: str) -> None:
    assert kinds.kind_of(ai, ask("a.com", path, method="POST")) == kind


def test_a_get_has_no_body_to_read() -> None:
    asked = ask("a.com", "/v1/responses", method="GET")
    assert kinds.kind_of(Ai(provider="openai"), asked) == "passthrough"
