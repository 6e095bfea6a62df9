"""What would become of a call, and why, without making it: `rouse egress check`."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from gateway.egress import connecting, deciding, forwarding, hosts, needs
from gateway.egress.addresses import read, why_refused
from gateway.egress.ask import Actor, Ask, Fields, Way
from gateway.egress.authz import PASSES
from gateway.egress.callers.keyring import Keyring
from gateway.egress.config.model import Document, Source
from gateway.egress.limits import Buckets
from gateway.egress.metering.usage import REQUESTS
from gateway.egress.refusals import Answer, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    allowed: bool
    status: int
    """Of our answer; 0 where the call goes on."""
    steps: tuple[str, ...]
    """In the order of the decision, the last one decides."""


def explain(
    document: Document,
    actor: Actor,
    method: str,
    url: str,
    *,
    fields: Fields | None = None,
    body: bytes = b"",
    text: Callable[[Source], str] | None = None,
) -> Verdict:
    """`text` gives what a source holds: keys that callers are checked with are then used.

    Raises BadHost, ValueError for what is no URL. Asks no name server: an address is judged only
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
        fields=list(fields or []),
    )
    try:
        return _followed(document, ask, steps, body or b"{}", Keyring(text or _unknown))
    except Refusal as refusal:
        steps.append(f"refused: {refusal.what.words}: {refusal.reason}".removesuffix(": "))
        return Verdict(allowed=False, status=refusal.what.status, steps=tuple(steps))


def _unknown(_source: Source) -> str:
    raise LookupError("nothing is read here")


def _followed(
    document: Document, ask: Ask, steps: list[str], body: bytes, keyring: Keyring
) -> Verdict:
    decider = deciding.Decider(document, Buckets(), Random(0), keyring)

    def meet(need: needs.Need) -> object:
        """As the worker would, but that no service is asked."""
        match need:
            case needs.Body():
                steps.append(
                    "reads the body" + (", of which nothing was said" if body == b"{}" else "")
                )
                if len(body) > need.most and not need.may_be_cut:
                    return None
                if len(body) <= need.most:
                    ask.body = body
                else:
                    ask.part = body[: need.most]
                return body[: need.most]
            case needs.Secrets():
                steps.append("fetches the issuer's keys")
                return None
            case needs.Work():
                return need.compute()
            case needs.Consult():
                service = need.authz.service
                steps.append(f"asks {service.host}:{service.port}, which is taken to let it pass")
                return PASSES

    if ask.scheme == "https":
        opening = connecting.connect(document, ask)
        if opening.passed is not None:
            steps.append(f"passed through unopened to {opening.host}:{opening.port}")
            return Verdict(allowed=True, status=0, steps=tuple(steps))
        assert opening.listener is not None
        steps.append(f"CONNECT is opened by listener {opening.listener.name}")
        listeners = [opening.listener]
    else:
        listeners = decider.listeners_for(ask)
    found = needs.run(decider.steps(ask, listeners, frozenset(), 0.0), meet)
    if isinstance(found, Answer):
        steps.append(f"answered by the policy itself with {found.status}")
        return Verdict(allowed=True, status=found.status, steps=tuple(steps))
    steps += [
        f"caller is known by {name}: {_told(ask.said[name])}"
        for name in ("jwt", "basicAuth", "apiKey")
        if name in ask.said
    ]
    if found.delay_s:
        steps.append(f"waits for {found.delay_s:g} s")
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
    steps += _more(found)
    steps += [
        f"counts against budget {each.name}: {each.amount:g} {each.unit} in {each.window_s:g} s "
        f"by this {each.per}" + ("" if each.blocks else ", which is only watched")
        for each in document.budgets
        if each.unit == REQUESTS or found.call is not None
    ]
    steps.append(f"sent to {found.host}:{found.port} by {way}")
    return Verdict(allowed=True, status=0, steps=tuple(steps))


def _told(said: object) -> str:
    """Names only: claims and metadata may be nobody's business."""
    return ", ".join(sorted(said)) if isinstance(said, dict) and said else "nothing more"


def _more(found: forwarding.Forward) -> list[str]:
    """How it is sent on, where that is not as it came."""
    made = []
    if found.backend.ai is not None:
        made.append(f"LLM provider {found.backend.ai.provider}")
    if found.body is not None:
        made.append(f"the body is changed, to {len(found.body)} bytes")
    if found.retry is not None:
        made.append(f"tried {found.retry.attempts + 1} times, on {_codes(found.retry.codes)}")
    if found.backend.chain is not None:
        made.append(f"by way of the proxy {found.backend.chain.host}:{found.backend.chain.port}")
    return made


def _codes(codes: frozenset[int]) -> str:
    return ", ".join(str(each) for each in sorted(codes)) or "no status"
