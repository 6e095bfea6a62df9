"""An LLM request's body: the model it asks for, and what the policy makes of it. No I/O.

A body that nothing is to be changed in stays as it came, byte for byte.
"""

from typing import Any

import msgspec

from gateway.egress.ask import Ask
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Ai
from gateway.egress.refusals import Refusal, Refused

LARGEST = 8 * 1024 * 1024
LARGEST_COMPUTED = 512 * 1024
_BYTES_PER_TOKEN = 4
_MOST_FIELDS = 256
_LONGEST_READ = 4096

Body = dict[str, msgspec.Raw]


class _Key(str):
    """So that fields can be counted while they are read."""


def read(ask: Ask) -> Body:
    """The body as JSON, of which only the outermost fields are looked at: what is inside of them
    may be made to cost much, and is nobody's business. Raises Refusal."""
    if ask.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(Refused.INVALID_REQUEST_BODY, "it is compressed: send it as it is")
    count = 0

    def counted(_wanted: type, given: object) -> _Key:
        nonlocal count
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError("too many fields")
        return _Key(given)

    try:
        found = msgspec.json.decode(ask.body or b"", type=dict[_Key, msgspec.Raw], dec_hook=counted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refusal(Refused.INVALID_REQUEST_BODY, "") from None
    return {str(name): value for name, value in found.items()}


def model_of(body: Body) -> str:
    """Raises Refusal."""
    model = _plain(body.get("model"))
    if not isinstance(model, str) or not model:
        raise Refusal(Refused.MISSING_MODEL, "")
    return model[:256]


def _plain(raw: msgspec.Raw | None) -> Any:  # JSON is whatever it is
    if raw is None or len(raw) > _LONGEST_READ:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def changed(ai: Ai, kind: str, body: Body, ask: Ask) -> Body:
    """With the policy's overrides, computed fields, defaults, model; and asked to tell its usage
    where it is a stream that would not. Raises Refusal."""
    made = {**body, **{name: _raw(value) for name, value in ai.overrides}}
    if ai.computed:
        _compute(ai, made, ask)
    for name, value in ai.defaults:
        if name not in made:
            made[name] = _raw(value)
    if ai.model is not None:
        made["model"] = _raw(ai.model)
    elif ai.aliases and isinstance(model := _plain(made.get("model")), str):
        made["model"] = _raw(alias(ai, model))
    if kind == "completions" and _plain(made.get("stream")) is True:
        options = _plain(made.get("stream_options")) or {}
        if isinstance(options, dict) and "include_usage" not in options:
            made["stream_options"] = _raw({**options, "include_usage": True})
    return made


def _compute(ai: Ai, made: Body, ask: Ask) -> None:
    """Raises Refusal: the whole body is made into objects for this, so it may not be any size."""
    if len(ask.body or b"") > LARGEST_COMPUTED:
        raise Refusal(Refused.REQUEST_BODY_TOO_LARGE, f"{LARGEST_COMPUTED >> 10} KiB are computed")
    ask.said["llmRequest"] = msgspec.json.decode(ask.body or b"{}")
    for name, expression in ai.computed:
        try:
            made[name] = _raw(expression.compute(ask))
        except CelFailed:
            made.pop(name, None)


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


def written(body: Body) -> bytes:
    return msgspec.json.encode(body)
