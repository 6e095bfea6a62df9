"""Telling: the line in the access log that each decision leaves, as the document wants it."""

from typing import TYPE_CHECKING

import msgspec

from gateway.egress.ask import Way
from gateway.egress.audit import Line, now_text
from gateway.egress.cel import CelFailed

if TYPE_CHECKING:
    from gateway.egress.ask import Ask
    from gateway.egress.parts import Parts
    from gateway.egress.policies import Policy
    from gateway.egress.refusals import Refusal
    from gateway.egress.seams import Caller


def line_of(
    caller: "Caller | None",
    decision: str,
    *,
    way: str,
    method: str,
    to: str,
    reason: str,
    status: int,
    path: str = "",
    ms: float = 0.0,
    bytes_out: int = 0,
    bytes_in: int = 0,
) -> Line:
    return Line(
        at=now_text(),
        actor="" if caller is None else caller.actor.id,
        decision=decision,
        way=way,
        method=method,
        to=to,
        path=path[:500],
        reason=reason[:500],
        status=status,
        ms=ms,
        bytes_out=bytes_out,
        bytes_in=bytes_in,
    )


def refused(
    parts: "Parts",
    caller: "Caller | None",
    refusal: "Refusal",
    method: str,
    to: str,
    *,
    path: str = "",
) -> None:
    """Denials are always told."""
    what = refusal.what
    decision = "fail" if what.status >= 500 else "deny"
    parts.metering.decisions[decision, what.name.lower()] += 1
    line = line_of(
        caller,
        decision,
        way=Way.CONNECT if method == "CONNECT" else "",
        method=method,
        to=to,
        path=path,
        reason=f"{what.words}: {refusal.reason}",
        status=what.status,
    )
    parts.audit.note(line)


def note(parts: "Parts", policy: "Policy", ask: "Ask", line: Line) -> None:
    """With what the document wants of its access log."""
    wanted = policy.document.access_log
    if wanted.filter is not None or wanted.add or wanted.remove:
        more = {}
        try:
            if wanted.filter is not None and not wanted.filter.is_true(ask):
                return
        except CelFailed:
            pass
        for name, expression in wanted.add:
            try:
                more[name] = str(expression.compute(ask))[:200]
            except CelFailed:
                continue
        blank = {name: "" for name in wanted.remove if name in ("path", "reason", "route")}
        line = msgspec.structs.replace(line, more=more, **blank)
    parts.audit.note(line)
