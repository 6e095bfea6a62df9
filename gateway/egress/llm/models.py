"""Which of the models of `llm` a request is for, and the list of them. No I/O."""

import re
from collections.abc import Mapping

import msgspec

from gateway.egress import gate
from gateway.egress.ask import Ask
from gateway.egress.config.model import LlmModel
from gateway.egress.llm.bodies import check_allowed, fits
from gateway.egress.refusals import Answer, Refusal, Refused


def is_list(ask: Ask) -> bool:
    path = ask.path.rstrip("/")
    return ask.method in ("GET", "HEAD") and path.endswith(("/v1/models", "/models"))


def chosen(models: tuple[LlmModel, ...], model: str, ask: Ask) -> LlmModel:
    """The first that fits and admits the caller. Raises Refusal."""
    check_allowed(ask, model)
    is_there = False
    for each in models:
        if not fits(each.name, model) or not _suits(each, ask.headers):
            continue
        is_there = True
        if gate.allows(each.rules, ask) is None:
            return each
    if is_there:
        raise Refusal(Refused.MODEL_AUTHORIZATION_DENIED, "")
    raise Refusal(Refused.MODEL_NOT_FOUND, model[:100])


def _suits(model: LlmModel, headers: Mapping[str, str]) -> bool:
    return not model.headers or any(
        all(_is(wanted, headers.get(name)) for name, wanted in each) for each in model.headers
    )


def _is(wanted: str | re.Pattern[str], value: str | None) -> bool:
    if value is None:
        return False
    return wanted == value if isinstance(wanted, str) else wanted.fullmatch(value) is not None


def listed(models: tuple[LlmModel, ...], ask: Ask) -> Answer:
    """Those that this caller may ask for, as OpenAI lists them."""
    names = [
        each.name
        for each in models
        if gate.allows(each.rules, ask) is None
        and (
            ask.models is None
            or "*" in each.name
            or any(fits(allowed, each.name) for allowed in ask.models)
        )
    ]
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "openai"}
        for name in dict.fromkeys(names)
    ]
    body = msgspec.json.encode({"object": "list", "data": data})
    return Answer(status=200, body=body, headers=(("content-type", "application/json"),))
