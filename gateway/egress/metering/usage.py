"""What an LLM call used, from the JSON of an answer or of one event of its stream. No I/O.

`input` means the same for every provider: all tokens that went in, cached ones included.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

REQUESTS = "Requests"
"""The unit of budgets that count requests of any kind."""
_MODEL_LONGEST = 100


class Operation(StrEnum):
    """OTel's gen_ai.operation.name."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    GENERATE = "generate_content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a request says before it is sent."""

    operation: Operation
    provider: str
    """OTel's gen_ai.provider.name."""


_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
_SUFFIXES = (
    ("/chat/completions", Operation.CHAT, "openai"),
    ("/completions", Operation.CHAT, "openai"),
    ("/responses", Operation.CHAT, "openai"),
    ("/embeddings", Operation.EMBEDDINGS, "openai"),
    ("/v1/messages", Operation.CHAT, "anthropic"),
    (":generateContent", Operation.GENERATE, "gcp.gemini"),
    (":streamGenerateContent", Operation.GENERATE, "gcp.gemini"),
    (":embedContent", Operation.EMBEDDINGS, "gcp.gemini"),
)


def call_of(method: str, host: str, path: str, provider: str = "") -> Call | None:
    """By the path, whatever the host: other servers speak OpenAI's API too."""
    if method != "POST":
        return None
    for suffix, operation, shape in _SUFFIXES:
        if path.endswith(suffix):
            return Call(operation=operation, provider=provider or _HOSTS.get(host, shape))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    model: str = ""
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    is_estimated: bool = False
    """The provider said nothing, as OpenAI's streams do unless they are asked."""

    @property
    def total(self) -> int:
        return self.input + self.output

    @property
    def is_known(self) -> bool:
        return self.total > 0


def added(usage: Usage, event: object) -> Usage:
    """With what this answer, or event of a stream, says: later words count."""
    if not isinstance(event, Mapping):
        return usage
    inner = next(
        (each for key in ("response", "message") if isinstance(each := event.get(key), Mapping)),
        event,
    )
    model = inner.get("model") or event.get("model") or event.get("modelVersion")
    if isinstance(model, str) and model:
        usage = replace(usage, model=model[:_MODEL_LONGEST])
    if isinstance(said := event.get("usageMetadata"), Mapping):
        return _gemini(usage, said)
    said = event.get("usage") or inner.get("usage")
    return _stated(usage, said) if isinstance(said, Mapping) else usage


def _stated(usage: Usage, said: Mapping[str, Any]) -> Usage:
    if "prompt_tokens" in said:
        return _details(usage, said, "prompt", "completion")
    if "input_tokens_details" in said:
        return _details(usage, said, "input", "output")
    if "input_tokens" in said or "output_tokens" in said:
        return _anthropic(usage, said)
    return usage


def _details(usage: Usage, said: Mapping[str, Any], into: str, out: str) -> Usage:
    read = _mapping(said, f"{into}_tokens_details")
    wrote = _mapping(said, f"{out}_tokens_details")
    return replace(
        usage,
        input=_count(said, f"{into}_tokens"),
        output=_count(said, f"{out}_tokens"),
        cache_read=_count(read, "cached_tokens"),
        cache_write=_count(read, "cache_write_tokens"),
        reasoning=_count(wrote, "reasoning_tokens"),
    )


def _anthropic(usage: Usage, said: Mapping[str, Any]) -> Usage:
    """`message_start` has the input and `message_delta` the final output; both may repeat what the
    other said. Its input leaves the cached tokens out."""
    read = _count(said, "cache_read_input_tokens", usage.cache_read)
    wrote = _count(said, "cache_creation_input_tokens", usage.cache_write)
    fresh = _count(said, "input_tokens", usage.input - usage.cache_read - usage.cache_write)
    return replace(
        usage,
        input=max(0, fresh) + read + wrote,
        output=_count(said, "output_tokens", usage.output),
        cache_read=read,
        cache_write=wrote,
    )


def _gemini(usage: Usage, said: Mapping[str, Any]) -> Usage:
    thoughts = _count(said, "thoughtsTokenCount")
    return replace(
        usage,
        input=_count(said, "promptTokenCount", usage.input),
        output=_count(said, "candidatesTokenCount") + thoughts or usage.output,
        cache_read=_count(said, "cachedContentTokenCount", usage.cache_read),
        reasoning=thoughts,
    )


def _mapping(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, Mapping) else {}


def _count(said: Mapping[str, Any], name: str, default: int = 0) -> int:
    found = said.get(name)
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**12:
        return found
    return default
