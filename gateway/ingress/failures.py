"""The status contract (design, section 7): every reason's status, and the answers that are ours."""

import json
import math
from dataclasses import dataclass
from http import HTTPStatus

from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.seams import Reason, Refusal, Woken
from gateway.ingress.waitingpage import page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    status: int
    title: bytes
    may_repeat: bool = False
    """Nothing was sent, so Retry-After says when to come again (A82)."""


_BAD = Row(status=400, title=b"Bad Request")
_NOT_FOUND = Row(status=404, title=b"Not Found")
_AWAY = Row(status=503, title=b"Service Unavailable", may_repeat=True)

ROWS: dict[Reason, Row] = {
    Reason.BAD_REQUEST: _BAD,
    Reason.BAD_NAME: _BAD,
    Reason.TARGET_TOO_LONG: Row(status=414, title=b"URI Too Long"),
    Reason.HEAD_TOO_LARGE: Row(status=431, title=b"Request Header Fields Too Large"),
    Reason.NOT_IMPLEMENTED: Row(status=501, title=b"Not Implemented"),
    Reason.UNAUTHENTICATED: Row(status=401, title=b"Unauthorized"),
    Reason.FORBIDDEN: Row(status=403, title=b"Forbidden"),
    Reason.NO_ACTOR: _NOT_FOUND,
    Reason.NO_PORT: _NOT_FOUND,
    Reason.QUEUE_FULL: Row(status=429, title=b"Too Many Requests", may_repeat=True),
    Reason.RATE_LIMITED: Row(status=429, title=b"Too Many Requests", may_repeat=True),
    Reason.QUOTA: Row(status=429, title=b"Too Many Requests", may_repeat=True),
    Reason.WAKING: _AWAY,
    Reason.NO_CAPACITY: _AWAY,
    Reason.FAILED_START: _AWAY,
    Reason.SHUTTING_DOWN: _AWAY,
    Reason.UNAVAILABLE: _AWAY,
    Reason.BROKEN: Row(status=502, title=b"Bad Gateway"),
    Reason.NO_ANSWER: Row(status=504, title=b"Gateway Timeout"),
    Reason.STALE_ROUTE: Row(status=421, title=b"Misdirected Request"),
}


def refusal_of(error: Malformed) -> Refusal:
    return Refusal(Reason(error.fault.value), error.message)


def render(refusal: Refusal, request_id: bytes, *, close: bool, without_body: bool) -> bytes:
    """The whole answer. `without_body` is for HEAD: its fields are those that GET would get."""
    row = ROWS[refusal.reason]
    kind, body = _body(refusal, row.status, request_id)
    lines = [
        b"HTTP/1.1 %d %b" % (row.status, row.title),
        b"Content-Type: " + kind,
        b"Content-Length: %d" % len(body),
        b"Cache-Control: no-store",
        b"X-Request-Id: " + request_id,
    ]
    if row.may_repeat:
        lines.append(b"Retry-After: %d" % max(1, math.ceil(refusal.retry_after_s or 1)))
    if refusal.reason is Reason.STALE_ROUTE:
        lines.append(b"Rouse-Stale: 1")
    if refusal.reason is Reason.UNAUTHENTICATED:
        lines.append(b'WWW-Authenticate: Bearer realm="rouse"')  # RFC 9110, section 11.6.1
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if without_body else body)


def render_redirect(location: bytes, request_id: bytes, *, close: bool) -> bytes:
    return b"HTTP/1.1 308 Permanent Redirect\r\nLocation: %b\r\nContent-Length: 0\r\n" % (
        location
    ) + b"X-Request-Id: %b\r\n%b\r\n" % (request_id, b"Connection: close\r\n" if close else b"")


def render_bare(status: int, request_id: bytes, *, close: bool) -> bytes:
    """An answer without a body, which says nothing but its status."""
    length = b"" if status in (204, 304) else b"Content-Length: 0\r\n"
    return b"HTTP/1.1 %d %b\r\n%bCache-Control: no-store\r\nX-Request-Id: %b\r\n%b\r\n" % (
        status,
        HTTPStatus(status).phrase.encode(),
        length,
        request_id,
        b"Connection: close\r\n" if close else b"",
    )


def wake_fields(report: Woken) -> bytes:
    """Rouse-Wake and Server-Timing, a CRLF before each (A80)."""
    phases = ", ".join(f"{name}={took:.1f}" for name, took in report.phases)
    timing = ", ".join(f"{name};dur={took:.1f}" for name, took in report.phases)
    text = f"\r\nRouse-Wake: {report.kind}; {phases}\r\nServer-Timing: {timing}"
    return text.encode("ascii")


def _body(refusal: Refusal, status: int, request_id: bytes) -> tuple[bytes, bytes]:
    if refusal.is_page:
        return b"text/html; charset=utf-8", page_of(refusal.actor)
    text = json.dumps({"error": _describe(refusal, status, request_id)})
    return b"application/json", text.encode()


def _describe(refusal: Refusal, status: int, request_id: bytes) -> dict[str, object]:
    return {
        "code": status,
        "reason": refusal.reason.value,
        "message": refusal.message,
        "actor": str(refusal.actor) if refusal.actor is not None else None,
        "request_id": request_id.decode("ascii"),
    }
