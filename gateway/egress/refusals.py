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
    NO_TOKEN = (401, "authentication failure: no bearer token found")
    BAD_TOKEN = (401, "authentication failure: the token is invalid or malformed")
    NO_KEY = (401, "api key authentication failure: no API Key found")
    BAD_KEY = (401, "api key authentication failure: invalid credentials")
    NO_PASSWORD = (401, "basic authentication failure: no basic authentication credentials found")
    BAD_PASSWORD = (401, "basic authentication failure: invalid credentials")
    FORBIDDEN = (403, "authorization failed")
    AUTHZ = (403, "external authorization failed")
    MODEL_NOT_ALLOWED = (403, "Model is not allowed for this API key")
    MODEL_AUTHORIZATION_DENIED = (403, "Model authorization denied")
    MODEL_NOT_FOUND = (404, "Model not found")
    NO_ROUTE = (404, "route not found")
    NO_BIND = (404, "bind not found")
    NO_LISTENER = (404, "listener not found")
    METHOD = (405, "method not allowed")
    BODY_TOO_LARGE = (413, "request body too large")
    REQUEST_BODY_TOO_LARGE = (413, "LLM request body exceeded the buffer limit")
    INVALID_REQUEST_BODY = (400, "LLM request body must be valid JSON")
    MISSING_MODEL = (400, "LLM request body is missing string field 'model'")
    MISDIRECTED = (421, "misdirected request")
    RATE = (429, "rate limit exceeded")
    BUDGET = (429, "Budget exceeded")
    TOO_LARGE = (431, "request head too large")
    NO_BACKEND = (500, "no valid backends")
    CREDENTIAL = (500, "backend authentication failed")
    RATE_FAILED = (500, "rate limit failed")
    FILTERS = (500, "failed to apply filters")
    BAD_ANSWER = (502, "processing failed: the answer is not HTTP/1.1 as RFC 9112 has it")
    UPGRADE = (502, "request upgrade failed")
    DNS = (503, "backends required DNS resolution which failed")
    UPSTREAM = (503, "upstream call failed")
    FORMAT = (503, "processing failed")
    KEYS_AWAY = (503, "processing failed: the keys to check a token with are not there")
    BUSY = (503, "processing failed: too many bodies are held at once")
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
        self,
        what: Refused,
        reason: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        answer: "Answer | None" = None,
    ) -> None:
        super().__init__(f"{what.words}: {reason}")
        self.what = what
        self.reason = reason
        self.headers = headers
        self.answer = answer
        """In other words than ours: of a service that was asked."""


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
    if refusal.answer is not None:
        return refusal.answer
    what = refusal.what
    headers = [("content-type", "text/plain"), *refusal.headers]
    if what.status == 407:
        headers.append(("proxy-authenticate", 'Basic realm="rouse egress"'))
    if what in (Refused.STOPPING, Refused.DNS, Refused.KEYS_AWAY, Refused.BUSY):
        headers.append(("retry-after", "1"))
    if what in _FOR_SDKS:
        body = _for_sdk(what, refusal.reason)
        return Answer(status=what.status, body=body, headers=_json(headers))
    body = f"{what.words}\n{refusal.reason}\n".encode()
    return Answer(status=what.status, body=body, headers=tuple(headers))


_FOR_SDKS = frozenset(
    (
        Refused.BUDGET,
        Refused.MODEL_NOT_ALLOWED,
        Refused.MODEL_AUTHORIZATION_DENIED,
        Refused.MODEL_NOT_FOUND,
        Refused.REQUEST_BODY_TOO_LARGE,
        Refused.INVALID_REQUEST_BODY,
        Refused.MISSING_MODEL,
    )
)
"""What SDKs of LLM providers read (agentgateway.md, section 10)."""


def _for_sdk(what: Refused, reason: str) -> bytes:
    import msgspec

    kind, code = "invalid_request_error", what.name.lower()
    if what is Refused.BUDGET:
        kind, code = "rate_limit_error", "budget_exceeded"
    message = f"{what.words}: {reason}" if reason else what.words
    return msgspec.json.encode({"error": {"message": message, "type": kind, "code": code}})


def _json(headers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return (("content-type", "application/json"), *headers[1:])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
