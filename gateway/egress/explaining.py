"""What would become of a call, and why, without making it: `rouse egress check`."""

from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from gateway.egress import deciding, hosts
from gateway.egress.addresses import read, why_refused
from gateway.egress.ask import Actor, Ask, Way
from gateway.egress.config.model import Document
from gateway.egress.limits import Buckets
from gateway.egress.refusals import Answer, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    allowed: bool
    status: int
    """Of our answer; 0 where the call goes on."""
    steps: tuple[str, ...]
    """In the order of the decision, the last one decides."""


def explain(document: Document, actor: Actor, method: str, url: str) -> Verdict:
    """Raises BadHost, ValueError for what is no URL. Asks no name server: an address is judged only
    where the URL has one."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url[:80]!r} is no http(s) URL")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = hosts.normalized(parts.hostname)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    steps: list[str] = []
    ask = Ask(
        actor=actor,
        way=Way.ABSOLUTE if parts.scheme == "http" else Way.INTERCEPTED,
        scheme=parts.scheme,
        host=host,
        port=port,
        method=method,
        target=target,
    )
    try:
        return _followed(document, ask, steps)
    except Refusal as refusal:
        steps.append(f"refused: {refusal.what.words}: {refusal.reason}")
        return Verdict(allowed=False, status=refusal.what.status, steps=tuple(steps))


def _followed(document: Document, ask: Ask, steps: list[str]) -> Verdict:
    decider = deciding.Decider(document, Buckets(), Random(0))
    if ask.scheme == "https":
        opening = deciding.connect(document, ask)
        if opening.passed is not None:
            steps.append(f"passed through unopened to {opening.host}:{opening.port}")
            return Verdict(allowed=True, status=0, steps=tuple(steps))
        assert opening.listener is not None
        steps.append(f"CONNECT is opened by listener {opening.listener.name}")
        listeners = [opening.listener]
    else:
        listeners = decider.listeners_for(ask)
    found = decider.decide(ask, listeners, frozenset(), 0.0)
    if isinstance(found, Answer):
        steps.append(f"answered by the policy itself with {found.status}")
        return Verdict(allowed=True, status=found.status, steps=tuple(steps))
    way = "TLS" if found.tls else "plain HTTP"
    steps.append(f"route {found.route.name}: {found.method} {found.target.partition('?')[0]}")
    steps += [
        f"credential {each.name}"
        + (" where its placeholder stands" if each.placeholder else " is put in")
        for each in found.credentials
    ]
    if not found.is_named and (found.host[-1:].isdigit() or ":" in found.host):
        why = why_refused(read(found.host), document.private)
        if why is not None:
            steps.append(f"refused: {why}, which this policy does not name")
            return Verdict(allowed=False, status=403, steps=tuple(steps))
    steps.append(f"sent to {found.host}:{found.port} by {way}")
    return Verdict(allowed=True, status=0, steps=tuple(steps))
