"""Usage as each provider says it."""

import pytest

from gateway.egress.metering.usage import Usage, added, call_of

CHAT = {"model": "gpt-5", "usage": {
    "prompt_tokens": 10, "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2}}}  # fmt: skip


def test_openai_completions() -> None:
    assert added(Usage(), CHAT) == Usage(
        model="gpt-5", input=10, output=5, cache_read=4, reasoning=2
    )


def test_responses_in_a_stream() -> None:
    said = {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}
    event = {"type": "response.completed", "response": {"model": "gpt-5", "usage": said}}
    assert added(Usage(), event) == Usage(model="gpt-5", input=7, output=3, cache_read=1)


def test_anthropic_in_a_stream_counts_cached_input_once() -> None:
    start = {"type": "message_start", "message": {"model": "claude", "usage": {
        "input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20,
        "output_tokens": 1}}}  # fmt: skip
    delta = {"type": "message_delta", "usage": {"output_tokens": 42}}
    usage = added(added(Usage(), start), delta)
    assert usage == Usage(model="claude", input=130, output=42, cache_read=100, cache_write=20)


def test_gemini() -> None:
    event = {"modelVersion": "gemini-2", "usageMetadata": {
        "promptTokenCount": 8, "candidatesTokenCount": 4, "thoughtsTokenCount": 3}}  # fmt: skip
    assert added(Usage(), event) == Usage(model="gemini-2", input=8, output=7, reasoning=3)


@pytest.mark.parametrize(
    "event", [None, [], "x", {}, {"usage": None}, {"usage": {"prompt_tokens": "many"}},
              {"usage": {"input_tokens": -5}}, {"usage": {"prompt_tokens": True}}])  # fmt: skip
def test_nonsense_counts_nothing(event: object) -> None:
    assert added(Usage(), event).total == 0


@pytest.mark.parametrize(
    ("host", "path", "provider"),
    [
        ("api.openai.com", "/v1/chat/completions", "openai"),
        ("llm.corp", "/v1/chat/completions", "openai"),
        ("api.anthropic.com", "/v1/messages", "anthropic"),
        ("generativelanguage.googleapis.com", "/v1beta/models/g:streamGenerateContent",
         "gcp.gemini"),
        ("a.com", "/v1/messages/count", None),
        ("a.com", "/", None),
    ],
)  # fmt: skip
def test_calls_are_known_by_their_path(host: str, path: str, provider: str | None) -> None:
    call = call_of("POST", host, path)
    assert (call and call.provider) == provider
    assert call_of("GET", host, path) is None
