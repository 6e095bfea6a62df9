"""Answers that a policy gives by itself: redirects, direct responses. No I/O."""

from dataclasses import replace

from gateway.egress import heads
from gateway.egress.ask import Ask
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Match, Redirect, Route
from gateway.egress.gate import Passage
from gateway.egress.refusals import Answer, Refusal, Refused


def redirected(redirect: Redirect, match: Match, ask: Ask) -> Answer:
    scheme = redirect.scheme or ask.scheme
    host = redirect.host or ask.host
    authority = host
    if redirect.port is not None:
        authority = f"{host}:{redirect.port}"
    elif redirect.host is None and redirect.scheme is None:
        authority = ask.authority
    path, mark, query = ask.target.partition("?")
    if redirect.full_path is not None:
        path = redirect.full_path
    elif redirect.prefix is not None:
        path = with_prefix(path, match, redirect.prefix)
    location = f"{scheme}://{authority}{path}{mark}{query}"
    return Answer(status=redirect.status, headers=(("location", location),))


def direct(route: Route, ask: Ask) -> Answer:
    direct = route.direct
    assert direct is not None
    body = direct.body
    if direct.expression is not None:
        try:
            value = direct.expression.compute(ask)
        except CelFailed as error:
            raise Refusal(Refused.FILTERS, f"the body could not be computed ({error})") from error
        body = value if isinstance(value, bytes) else str(value).encode()
    fields = heads.computed([], (direct.headers,), ask)
    return Answer(status=direct.status, body=body, headers=tuple(fields))


def with_edits(answer: Answer, passage: Passage) -> Answer:
    fields = heads.edited(list(answer.headers), passage.edits)
    return replace(answer, headers=tuple(fields))


def with_prefix(path: str, match: Match, prefix: str) -> str:
    if match.prefix is None:
        raise Refusal(Refused.FILTERS, "a prefix is rewritten where a pathPrefix matched")
    rest = path[len(match.prefix.rstrip("/")) :].lstrip("/")
    return prefix.rstrip("/") + "/" + rest if rest or prefix.endswith("/") else prefix
