"""External authorization over HTTP: what the service is asked, and what its answer means. No I/O.

As agentgateway's `extAuthz`: any 2xx lets the request pass, with fields and metadata of the answer;
anything else is the actor's answer. A service that can't be asked denies, unless told otherwise.
"""

import datetime
import json
import time
from dataclasses import dataclass, field
from typing import Any

from gateway.egress import heads
from gateway.egress.ask import Ask, Fields
from gateway.egress.cel import CelFailed
from gateway.egress.config.gate_model import AuthzCache, ExtAuthz
from gateway.egress.needs import Body, Consult, Steps
from gateway.egress.refusals import Answer, Refusal, Refused

_LONGEST_TTL_S = 86400.0
_FRAMING = frozenset(
    ("connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    method: str
    target: str
    fields: Fields
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    copied: Fields = field(default_factory=list)
    """Go on with the request."""
    metadata: dict[str, object] = field(default_factory=dict)
    refusal: tuple[str, Answer | None] | None = None
    """Why not, and the service's own answer."""


PASSES = Verdict()


def consulted(authz: ExtAuthz, ask: Ask, fields: Fields) -> Steps[Fields]:
    """The fields as they go on. Raises Refusal."""
    if authz.body_bytes is not None and ask.body is None:
        found = yield Body(most=authz.body_bytes, may_be_cut=authz.body_may_be_cut)
        if found is None:
            raise Refusal(
                Refused.BODY_TOO_LARGE, f"{authz.body_bytes} bytes are shown to a service"
            )
    verdict = yield Consult(authz=authz, ask=ask)
    assert isinstance(verdict, Verdict)
    if verdict.refusal is not None:
        why, answer = verdict.refusal
        raise Refusal(Refused.AUTHZ, why, answer=answer)
    if verdict.metadata:
        ask.said["extauthz"] = verdict.metadata
    for name, value in verdict.copied:
        fields = heads.set_field(fields, name, value)
    return fields


def question(authz: ExtAuthz, ask: Ask) -> Question:
    """Raises CelFailed, ValueError: then nobody is asked."""
    method, target = ask.method, ask.target
    fields: Fields = []
    for name in authz.sent:
        if not name.startswith(":"):
            fields += [each for each in ask.fields if each[0] == name]
    if authz.path is not None:
        target = heads.checked_target(_text(authz.path.compute(ask)))
    body = b""
    if authz.body is not None:
        body = as_bytes(authz.body.compute(ask))
    elif authz.body_bytes is not None:
        shown = ask.part if ask.body is None else ask.body
        body = shown[: authz.body_bytes]
        is_cut = "true" if ask.body is None or len(shown) > len(body) else "false"
        fields = heads.set_field(fields, "x-envoy-auth-partial-body", is_cut)
    for name, expression in authz.added:
        try:
            value = _text(expression.compute(ask))
        except (CelFailed, ValueError):
            fields = heads.without(fields, (name,))
            continue
        if name == ":method":
            method = value
        elif name == ":path":
            target = heads.checked_target(value)
        elif not name.startswith(":"):
            fields = heads.set_field(fields, name, value)
    for name, value in authz.service.headers:
        fields = heads.set_field(fields, name, value)
    return Question(method=method, target=target, fields=fields, body=body)


def as_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return heads.check_value(value)


class _Answered:
    """What expressions over the service's answer see."""

    def __init__(self, ask: Ask, status: int, fields: Fields, body: bytes) -> None:
        self._ask = ask
        self._response = {"code": status, "headers": dict(fields), "body": body}
        self.memo: dict[object, object] = {}

    def root(self, name: str) -> object | None:
        return self._response if name == "response" else self._ask.root(name)


def judged(authz: ExtAuthz, ask: Ask, status: int, fields: Fields, body: bytes) -> Verdict:
    if 200 <= status < 300:
        seen = _Answered(ask, status, fields, body)
        metadata: dict[str, object] = {}
        for name, expression in authz.metadata:
            try:
                metadata[name] = expression.compute(seen)
            except CelFailed:
                continue
        copied = [each for each in fields if each[0] in authz.copied]
        return Verdict(copied=copied, metadata=metadata)
    if status in (401, 403) and authz.redirect is not None:
        try:
            where = _text(authz.redirect.compute(ask))
        except (CelFailed, ValueError):
            return Verdict(refusal=("where to redirect to could not be computed", None))
        answer = Answer(status=302, headers=(("location", where),))
        return Verdict(refusal=("redirected by the policy", answer))
    kept = tuple(each for each in fields if each[0] not in _FRAMING)
    return Verdict(
        refusal=(
            f"the service {authz.service.host} answered {status}",
            Answer(status=status, body=body, headers=kept),
        )
    )


def failed(authz: ExtAuthz, why: str) -> Verdict:
    """When the service did not answer."""
    status = authz.failure_status
    if status is None:
        return PASSES
    if status == 403:
        return Verdict(refusal=(why, None))
    body = f"{Refused.AUTHZ.words}\n{why}\n".encode()
    headers = (("content-type", "text/plain"),)
    return Verdict(refusal=(why, Answer(status=status, body=body, headers=headers)))


# What was answered before ---------------------------------------------------------------------


def cache_key(cache: AuthzCache, ask: Ask) -> str | None:
    """None: this one is asked anew."""
    try:
        return json.dumps([_plain(each.compute(ask)) for each in cache.key])
    except (CelFailed, TypeError, ValueError):
        return None


def _plain(value: Any) -> Any:  # whatever an expression gives
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    return value


def lives_s(cache: AuthzCache, ask: Ask) -> float:
    """For how long an answer may be kept; 0: not at all. A number is a time, as in `exp`."""
    try:
        value = cache.ttl.compute(ask)
    except CelFailed:
        return 0.0
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, datetime.datetime):
        seconds = value.timestamp() - time.time()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value - time.time()
    else:
        return 0.0
    return min(max(0.0, seconds), _LONGEST_TTL_S) if seconds == seconds else 0.0
