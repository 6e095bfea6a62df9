"""Does a decision rest on the request's body? Then it is asked for before it is made. No I/O."""

from collections.abc import Iterator

from gateway.egress.ask import Ask
from gateway.egress.config.model import Backend, Route
from gateway.egress.gate import Passage
from gateway.egress.llm import bodies, kinds
from gateway.egress.needs import Body, Steps
from gateway.egress.refusals import Refusal, Refused


def by_route(route: Route) -> bool:
    gate = route.gate
    rules = (*gate.rules.allow, *gate.rules.deny, *gate.rules.require)
    edits = [each for one in gate.computed for _name, each in (*one.add, *one.set)]
    keys = [each.key for each in route.rates if each.key is not None]
    direct = route.direct.expression if route.direct is not None else None
    before = route.retry.precondition if route.retry is not None else None
    more = [each for each in (before, direct) if each is not None]
    return any("request.body" in each.source for each in (*rules, *edits, *keys, *more))


def by_backend(backend: Backend, ask: Ask) -> bool:
    if backend.ai is None:
        return any(
            "request.body" in each.source
            for one in backend.computed
            for _name, each in (*one.add, *one.set)
        )
    kind = kinds.kind_of(backend.ai, ask)
    changes = kind == "completions" or ask.models is not None
    changes = changes or any(_changes(each) for each in (backend, *_all_of(backend)))
    return ask.method == "POST" and kinds.has_body(kind) and changes


def _all_of(backend: Backend) -> Iterator[Backend]:
    return (each for group in backend.groups for each in group)


def _changes(backend: Backend) -> bool:
    ai = backend.ai
    return ai is not None and bool(
        ai.tokenizes or ai.model or ai.aliases or ai.defaults or ai.overrides or ai.computed
    )


def body(passage: Passage) -> Steps[None]:
    """Raises Refusal."""
    passage.once = True
    if passage.ask.body is None and (yield Body(most=bodies.LARGEST)) is None:
        raise Refusal(Refused.REQUEST_BODY_TOO_LARGE, f"more than {bodies.LARGEST >> 20} MiB")
