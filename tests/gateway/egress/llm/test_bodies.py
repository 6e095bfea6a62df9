"""Bodies of LLM requests: what the policy makes of them, in which order."""

import json
from typing import Any

import pytest

from gateway.egress.cel import Expression
from gateway.egress.config.model import Ai
from gateway.egress.llm import bodies
from gateway.egress.refusals import Refusal, Refused
from tests.gateway.egress.documents import ask


def _changed(ai: Ai, **body: Any) -> dict[str, Any]:
    asked = ask()
    asked.body = json.dumps(body).encode()
    made = bodies.changed(ai, "completions", bodies.read(asked), asked)
    found: dict[str, Any] = json.loads(bodies.written(made))
    return found


def test_overrides_then_computed_then_defaults() -> None:
    ai = Ai(
        provider="x",
        overrides=(("a", 1), ("b", 1)),
        computed=(
            ("b", Expression("llmRequest.b + 1", "h")),
            ("d", Expression("llmRequest.no", "h")),
        ),
        defaults=(("b", 9), ("c", 9), ("d", 9)),
    )
    assert _changed(ai, a=5, b=5, d=5) == {"a": 1, "b": 6, "c": 9, "d": 9}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("gpt-4", "real"), ("gpt-5", "five"), ("x-mini", "small"), ("other", "other")],
)
def test_aliases(asked: str, sent: str) -> None:
    ai = Ai(provider="x", aliases=(("gpt-5", "five"), ("*-mini", "small"), ("gpt-*", "real")))
    assert _changed(ai, model=asked)["model"] == sent


def test_a_fixed_model_takes_the_place_of_any() -> None:
    assert _changed(Ai(provider="x", model="m"), model="a")["model"] == "m"
    assert _changed(Ai(provider="x", model="m"))["model"] == "m"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    asked = ask()
    asked.body = body
    with pytest.raises(Refusal) as caught:
        bodies.read(asked)
    assert caught.value.what is Refused.INVALID_REQUEST_BODY


def test_a_compressed_body_is_not_guessed_at() -> None:
    asked = ask(fields=[("content-encoding", "gzip")])
    asked.body = b"{}"
    with pytest.raises(Refusal, match="compressed"):
        bodies.read(asked)


def test_a_key_opens_names_and_patterns() -> None:
    asked = ask()
    asked.models = ("gpt-*", "claude")
    bodies.check_allowed(asked, "gpt-5")
    for model in ("gp", "claude-2", ""):
        with pytest.raises(Refusal):
            bodies.check_allowed(asked, model)
    assert bodies.estimated(b"x" * 400) == 100


def test_a_body_has_a_bounded_number_of_fields() -> None:
    """Each one costs, and everybody else waits meanwhile; what is inside of one costs nothing."""
    asked = ask()
    asked.body = b'{"model":"m","a":[' + b",".join([b'{"k":1}'] * 100_000) + b"]}"
    assert bodies.model_of(bodies.read(asked)) == "m" and len(bodies.read(asked)) == 2
    asked.body = b"{" + b",".join(b'"k%d":1' % number for number in range(257)) + b"}"
    with pytest.raises(Refusal):
        bodies.read(asked)


def test_what_is_computed_over_has_a_bound() -> None:
    asked = ask()
    asked.body = b'{"a": "' + b"x" * bodies.LARGEST_COMPUTED + b'"}'
    ai = Ai(provider="x", computed=(("b", Expression("llmRequest.a", "h")),))
    with pytest.raises(Refusal) as caught:
        bodies.changed(ai, "completions", bodies.read(asked), asked)
    assert caught.value.what is Refused.REQUEST_BODY_TOO_LARGE
