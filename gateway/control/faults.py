"""Faults: every error of the control API as a status, a reason and one sentence (A78, A82)."""

import logging
import math
import re
import secrets

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.control.resources import Fault, FaultAnswer
from lifecycle import errors
from lifecycle.strict import NotUnderstood
from placement.model import ActorId, InvalidName

log = logging.getLogger(__name__)

REQUEST_ID = web.RequestKey("request_id", str)
_OURS_TO_REPEAT = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Refusal(Exception):
    """What the API itself refuses, before any action."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


ROWS: dict[type[Exception], tuple[int, str]] = {
    InvalidName: (400, "bad-name"),
    NotUnderstood: (400, "bad-document"),
    errors.NoSuchActor: (404, "no-actor"),
    errors.NoSuchTemplate: (404, "no-template"),
    errors.NoSuchWorker: (404, "no-worker"),
    errors.NoSuchPort: (404, "no-port"),
    errors.NotHere: (404, "no-actor"),
    errors.ActorExists: (409, "exists"),
    errors.WrongNamespace: (409, "other-namespace"),
    errors.ActorBusy: (409, "busy"),
    errors.NotSuspended: (409, "not-suspended"),
    errors.TemplateInUse: (409, "in-use"),
    errors.TemplateConflict: (409, "conflict"),
    errors.QueueFull: (429, "queue-full"),
    errors.QuotaReached: (429, "quota"),
    errors.SnapshotRefused: (503, "snapshot-refused"),
    errors.SnapshotFailed: (503, "snapshot-failed"),
    errors.NoCapacity: (503, "no-capacity"),
    errors.WakeTimedOut: (503, "waking"),
    errors.StartFailed: (503, "failed-start"),
    errors.ShuttingDown: (503, "shutting-down"),
    errors.Fenced: (503, "unavailable"),
    errors.DependencyAway: (503, "unavailable"),
}


def request_id_of(request: web.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _OURS_TO_REPEAT.fullmatch(given) else secrets.token_hex(8)


@web.middleware
async def answer_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost: whatever goes wrong inside becomes an answer; what is ours is logged."""
    request_id = request_id_of(request)
    request[REQUEST_ID] = request_id
    try:
        answer = await handler(request)
    except (Refusal, errors.LifecycleError, NotUnderstood, InvalidName) as error:
        answer = _answer(error, request_id)
    except web.HTTPException as error:  # aiohttp's own: no such route, no such method, too large
        answer = render(error.status, _reason(error), error.reason.lower(), None, request_id)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
    except Exception:
        log.exception(
            "control request failed",
            extra={"method": request.method, "path": request.path, "request_id": request_id},
        )
        message = "an error of ours; the log has it under this request id"
        answer = render(500, "internal", message, None, request_id)
    answer.headers["X-Request-Id"] = request_id
    answer.headers["Server"] = "rouse"  # not which versions we are made of
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers.setdefault("Cache-Control", "no-store")
    if request.method not in ("GET", "HEAD"):
        fields = {"method": request.method, "path": request.path, "status": answer.status}
        log.info("control request", extra={**fields, "request_id": request_id})
    return answer


def render(
    status: int, reason: str, message: str, actor: ActorId | None, request_id: str
) -> web.Response:
    fault = Fault(
        code=status,
        reason=reason,
        message=message,
        actor=None if actor is None else str(actor),
        request_id=request_id,
    )
    body = msgspec.json.encode(FaultAnswer(error=fault))
    return web.Response(status=status, body=body, content_type="application/json")


def _answer(error: Exception, request_id: str) -> web.Response:
    status, reason = _row(error)
    actor = getattr(error, "actor", None)
    answer = render(status, reason, str(error), actor, request_id)
    if status in (429, 503):
        retry_after_s = getattr(error, "retry_after_s", None) or 1
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    if status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="rouse"'  # RFC 9110, section 11.6.1
    return answer


def _row(error: Exception) -> tuple[int, str]:
    if isinstance(error, Refusal):
        return error.status, error.reason
    return next((ROWS[kind] for kind in type(error).__mro__ if kind in ROWS), (500, "internal"))


def _reason(error: web.HTTPException) -> str:
    return {404: "no-route", 405: "no-method", 413: "too-large"}.get(error.status, "bad-request")
