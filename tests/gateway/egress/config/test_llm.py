"""`llm` as the model has it: what a provider says for all, and what a model says over it."""

import pytest

from gateway.egress.config.model import Document, LlmModel
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document

SHARED = """llm:
  providers:
  - {name: s, provider: {custom: {formats: [{type: completions}]}}, params: {baseUrl:
     "https://h.test/v1", model: far}, defaults: {defaults: {a: 1, b: 1}}}
  models:
  - {name: "*", provider: {reference: s}, defaults: {b: 2}, params: {model: near}}
  - {name: "m*", provider: openAI}
  - {name: m, provider: anthropic, params: {apiKey: {file: f}}}
"""


def _models(made: Document) -> tuple[LlmModel, ...]:
    return made.binds[-1].listeners[0].routes[0].models


def test_what_is_said_exactly_comes_before_stars() -> None:
    made = document(SHARED)
    assert [each.name for each in _models(made)] == ["m", "m*", "*"]
    assert made.binds[-1].port == 4000


def test_a_model_says_over_what_its_provider_says_for_all() -> None:
    backend = _models(document(SHARED))[-1].backend
    assert (backend.host, backend.port) == ("h.test", 443) and backend.tls is not None
    assert backend.ai is not None and backend.ai.model == "near"
    assert dict(backend.ai.defaults) == {"a": 1, "b": 2} and backend.ai.path_prefix == "/v1"


def test_it_may_be_attached_to_a_gateway() -> None:
    text = """gateways: {secure: {port: 443, listeners: [{name: a}, {name: b}]}}
llm: {gateways: secure/b, models: [{name: m, provider: openAI}]}"""
    made = document(text)
    assert [len(each.routes) for each in made.binds[0].listeners] == [0, 1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{models: []}", "is empty"),
        ("{models: [{name: 'a*b', provider: openAI}]}", "one \\*"),
        ("{models: [{name: a, provider: nobody}]}", "provider"),
        ("{models: [{name: a, provider: groq}]}", "groq is not supported by rouse"),
        ("{models: [{name: a, provider: {reference: nope}}]}", "no provider here"),
        ("{models: [{name: a, provider: openAI, params: {baseUrl: 'ftp://x'}}]}", "http"),
        ("{models: [{name: a, provider: openAI, params: {apiKey: k}, auth: {key: k}}]}", "one of"),
        ("{port: 1, gateways: g, models: [{name: a, provider: openAI}]}", "say one of them"),
        ("{virtualModels: [], models: []}", "virtualModels: not supported by rouse"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        document(f"llm: {text}")
