"""An LLM request's body: the model it asks for, and what the policy makes of it. No I/O.

A body that nothing is to be changed in stays as it came, byte for byte.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.egress.ask import Ask
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Ai
from gateway.egress.refusals import Refusal, Refused

LARGEST = 8 * 1024 * 1024
_BYTES_PER_TOKEN = 4


def read(ask: Ask) -> dict[str, Any]:
    """The body as JSON. Raises Refusal."""
    if ask.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(Refused.INVALID_REQUEST_BODY, "it is compressed: send it as it is")
    try:
        found = msgspec.json.decode(ask.body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(Refused.INVALID_REQUEST_BODY, "") from None
    if not isinstance(found, dict):
        raise Refusal(Refused.INVALID_REQUEST_BODY, "it is no object")
    return found


def model_of(body: Mapping[str, Any]) -> str:
    """Raises Refusal."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(Refused.MISSING_MODEL, "")
    return model[:256]


def changed(ai: Ai, kind: str, body: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """With the policy's overrides, computed fields, defaults, model; and asked to tell its usage
    where it is a stream that would not."""
    made = {**body, **dict(ai.overrides)}
    ask.said["llmRequest"] = body
    for name, expression in ai.computed:
        try:
            made[name] = expression.compute(ask)
        except CelFailed:
            made.pop(name, None)
    for name, value in ai.defaults:
        made.setdefault(name, value)
    model = made.get("model")
    if ai.model is not None:
        made["model"] = ai.model
    elif isinstance(model, str):
        made["model"] = alias(ai, model)
    if kind == "completions" and made.get("stream") is True:
        options = made.get("stream_options")
        if options is None:
            made["stream_options"] = {"include_usage": True}
        elif isinstance(options, dict) and "include_usage" not in options:
            made["stream_options"] = {**options, "include_usage": True}
    return made


def alias(ai: Ai, model: str) -> str:
    return next((to for name, to in ai.aliases if fits(name, model)), model)


def fits(pattern: str, model: str) -> bool:
    if pattern.endswith("*"):
        return model.startswith(pattern[:-1])
    if pattern.startswith("*"):
        return model.endswith(pattern[1:])
    return pattern == model


def check_allowed(ask: Ask, model: str) -> None:
    """By the API key that was shown. Raises Refusal."""
    if ask.models is not None and not any(fits(each, model) for each in ask.models):
        raise Refusal(Refused.MODEL_NOT_ALLOWED, "")


def estimated(body: bytes) -> int:
    """Tokens of a request, without its provider's tokenizer."""
    return max(1, len(body) // _BYTES_PER_TOKEN)


def written(body: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(body)
