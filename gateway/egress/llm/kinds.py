"""What kind an LLM request is, and the path that a provider has for it. No I/O.

A body is not turned from one provider's shape into another's: what a provider does not speak is
refused.
"""

from gateway.egress.ask import Ask
from gateway.egress.config.model import Ai
from gateway.egress.refusals import Refusal, Refused

_BASE = "/v1"
_SUFFIXES = {
    "completions": "/chat/completions",
    "responses": "/responses",
    "embeddings": "/embeddings",
    "messages": "/messages",
    "models": "/models",
}
_SPOKEN = {
    "openai": frozenset(("completions", "responses", "embeddings", "models")),
    "anthropic": frozenset(("messages", "models")),
}
_WITH_BODY = frozenset(("completions", "responses", "embeddings", "messages"))


def kind_of(ai: Ai, ask: Ask) -> str:
    """By the policy's own words, else by the end of the path; `passthrough` is anything else."""
    for suffix, kind in ai.routes:
        if suffix == "*" or ask.path.endswith(suffix):
            return kind
    if ai.routes:
        return "completions"  # theirs, where `*` is not said
    for kind in _WITH_BODY:
        if ask.method == "POST" and ask.path.endswith(_SUFFIXES[kind]):
            return kind
    return "passthrough"


def check(ai: Ai, kind: str) -> None:
    """Raises Refusal for what this provider does not speak."""
    if kind in ("passthrough", "detect", "models"):
        return
    spoken = frozenset(name for name, _path in ai.formats) or _SPOKEN.get(ai.provider)
    if spoken is not None and kind not in spoken:
        raise Refusal(
            Refused.FORMAT, f"{ai.provider} speaks no {kind}, and nothing is translated on the way"
        )


def has_body(kind: str) -> bool:
    """One that is JSON and names a model."""
    return kind in _WITH_BODY


def path_of(ai: Ai, kind: str, path: str) -> str:
    """`path`: as it came, without the route's prefix."""
    if ai.path_override is not None:
        return ai.path_override
    own = dict(ai.formats).get(kind)
    if own is not None:
        return own
    if kind in ("passthrough", "detect", "models"):
        if ai.path_prefix is None:
            return path
        rest = path.removeprefix(_BASE) if path.startswith((f"{_BASE}/", f"{_BASE}?")) else path
        return ai.path_prefix.rstrip("/") + rest
    if ai.path_prefix is None and ai.is_elsewhere and not ai.formats:
        return path
    base = _BASE if ai.path_prefix is None else ai.path_prefix.rstrip("/")
    return base + _SUFFIXES[kind]
