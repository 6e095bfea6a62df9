"""What an actor is told when the proxy does not do what it asked: agentgateway's codes and words
(A83), and on a second line a reason that an agent can act on. No I/O.
"""

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus


class Refused(Enum):
    """Status and first line of the body."""

    INVALID = (400, "invalid request")
    NO_IDENTITY = (407, "authentication failure: no actor token found")
    BAD_IDENTITY = (407, "authentication failure: the actor token is not valid")
    FORBIDDEN = (403, "authorization failed")
    NO_ROUTE = (404, "route not found")
    NO_BIND = (404, "bind not found")
    NO_LISTENER = (404, "listener not found")
    METHOD = (405, "method not allowed")
    MISDIRECTED = (421, "misdirected request")
    RATE = (429, "rate limit exceeded")
    BUDGET = (429, "Budget exceeded")
    TOO_LARGE = (431, "request head too large")
    NO_BACKEND = (500, "no valid backends")
    CREDENTIAL = (500, "backend authentication failed")
    FILTERS = (500, "failed to apply filters")
    BAD_ANSWER = (502, "processing failed: the answer is not HTTP/1.1 as RFC 9112 has it")
    UPGRADE = (502, "request upgrade failed")
    DNS = (503, "backends required DNS resolution which failed")
    UPSTREAM = (503, "upstream call failed")
    STOPPING = (503, "shutting down")
    TIMEOUT = (504, "request timeout")
    BACKEND_TIMEOUT = (504, "upstream call timeout")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def words(self) -> str:
        return self.value[1]


class Refusal(Exception):
    """Raised by a decision; `reason` is for the actor and never holds a secret."""

    def __init__(
        self, what: Refused, reason: str, *, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(f"{what.words}: {reason}")
        self.what = what
        self.reason = reason
        self.headers = headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of ours, whole."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def to_bytes(self, *, close: bool, is_head: bool = False) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"content-length: {len(self.body)}")
        if close:
            lines.append("connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        return head if is_head else head + self.body


def answer_to(refusal: Refusal) -> Answer:
    what = refusal.what
    headers = [("content-type", "text/plain"), *refusal.headers]
    if what.status == 407:
        headers.append(("proxy-authenticate", 'Basic realm="rouse egress"'))
    if what in (Refused.STOPPING, Refused.DNS):
        headers.append(("retry-after", "1"))
    if what is Refused.BUDGET:
        # What SDKs of LLM providers read (agentgateway.md, section 10).
        return Answer(status=429, body=_budget(refusal.reason), headers=_json(headers))
    body = f"{what.words}\n{refusal.reason}\n".encode()
    return Answer(status=what.status, body=body, headers=tuple(headers))


def _budget(reason: str) -> bytes:
    import msgspec

    error = {"message": f"Budget exceeded: {reason}", "type": "rate_limit_error"}
    return msgspec.json.encode({"error": {**error, "code": "budget_exceeded"}})


def _json(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return (("content-type", "application/json"), *headers[1:])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
