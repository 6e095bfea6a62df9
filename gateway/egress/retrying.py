"""Is a request tried once more? By the route's `retry`: on a status, a condition over the answer's
head, or because the backend was not reached or did not answer in time. No I/O.

As agentgateway: `attempts` come after the first one, whatever the method is, since whoever wrote
the policy said so; but what was sent and then lost without an answer is sent again only where its
method may be, since nobody knows whether it was done.
"""

from typing import TYPE_CHECKING

from gateway.egress.ask import Ask, fields_of
from gateway.egress.cel import CelFailed
from gateway.egress.refusals import Refused

if TYPE_CHECKING:
    from gateway.egress.config.model import Retry
    from gateway.ingress.codec.response import AnswerHead

FAILURES = frozenset((Refused.UPSTREAM, Refused.DNS, Refused.BACKEND_TIMEOUT))


class _Answered:
    """What the condition sees."""

    def __init__(self, ask: Ask, head: "AnswerHead") -> None:
        self._ask = ask
        self._response = {"code": head.status, "headers": dict(fields_of(head.block))}
        self.memo: dict[object, object] = {}

    def root(self, name: str) -> object | None:
        return self._response if name == "response" else self._ask.root(name)


def on_answer(retry: "Retry", ask: Ask, head: "AnswerHead") -> bool:
    if head.status in retry.codes:
        return True
    if retry.condition is None:
        return False
    try:
        return retry.condition.is_true(_Answered(ask, head))
    except CelFailed:
        return False


def on_failure(what: Refused, *, was_sent: bool, is_repeatable: bool) -> bool:
    if what not in FAILURES:
        return False
    return is_repeatable or not was_sent or what is Refused.BACKEND_TIMEOUT


def with_attempt(head: bytes, number: int) -> bytes:
    """A request's head, saying which try it is."""
    return head[:-2] + b"x-retry-attempt: %d\r\n\r\n" % number
