"""Requests of browsers from other origins (CORS): who is answered, and what answers get. No I/O.

As agentgateway does it, which is as Envoy does: a preflight is answered here in any case, without
the fields where its origin is not allowed; any other request goes on, and its answer gets them.
"""

from gateway.egress.ask import Ask
from gateway.egress.config.gate_model import Cors
from gateway.egress.config.values import Edits
from gateway.egress.refusals import Answer

_ORIGIN = "access-control-allow-origin"


def answer(cors: Cors, ask: Ask) -> Answer | None:
    """None for what goes on."""
    origin = ask.headers.get("origin")
    if origin is None or ask.method != "OPTIONS":
        return None
    asked = ask.headers.get("access-control-request-method", "")
    if not _is_allowed(cors, origin):
        return Answer(status=200) if asked else None
    fields = [(_ORIGIN, origin)]
    methods = _listed(cors, cors.methods, asked)
    if methods:
        fields.append(("access-control-allow-methods", methods))
    wanted = ask.headers.get("access-control-request-headers", "")
    names = ", ".join(each.strip() for each in wanted.split(",") if each.strip())
    headers = _listed(cors, cors.headers, names)
    if headers:
        fields.append(("access-control-allow-headers", headers))
    if cors.max_age_s is not None:
        fields.append(("access-control-max-age", str(cors.max_age_s)))
    return Answer(status=200, headers=(*fields, *_shared(cors)))


def added(cors: Cors, ask: Ask) -> tuple[Edits, ...]:
    """To the answer of what went on."""
    origin = ask.headers.get("origin")
    if origin is None or not _is_allowed(cors, origin):
        return ()
    return (Edits(set=((_ORIGIN, origin), *_shared(cors))),)


def _shared(cors: Cors) -> tuple[tuple[str, str], ...]:
    fields: list[tuple[str, str]] = []
    if cors.credentials:
        fields.append(("access-control-allow-credentials", "true"))
    if cors.exposed:
        fields.append(("access-control-expose-headers", ",".join(cors.exposed)))
    return tuple(fields)


def _listed(cors: Cors, given: tuple[str, ...], asked: str) -> str:
    """`*` is what was asked for; where nothing was, itself, but with credentials nothing."""
    if given == ("*",):
        return asked or ("" if cors.credentials else "*")
    return ",".join(given)


def _is_allowed(cors: Cors, origin: str) -> bool:
    return cors.origins == ("*",) or any(_matches(each, origin) for each in cors.origins)


def _plain(origin: str) -> str:
    """Without a port that its scheme has anyway."""
    lowered = origin.lower().rstrip("/")
    port = ":443" if lowered.startswith("https:") else ":80"
    return lowered.removesuffix(port)


def _matches(allowed: str, origin: str) -> bool:
    """Scheme and host have no case; `https://*.x.com` is any host under it, on its port."""
    allowed, origin = _plain(allowed), _plain(origin)
    if "*" not in allowed:
        return allowed == origin
    start, _star, end = allowed.partition("*")
    middle = origin[len(start) : len(origin) - len(end)]
    return (
        origin.startswith(start)
        and origin.endswith(end)
        and len(origin) > len(start) + len(end)
        and "/" not in middle
        and ":" not in middle
    )
