"""Which bind, listener and route a request belongs to (agentgateway.md, 2 and 3). No I/O."""

from collections.abc import Iterable
from random import Random
from urllib.parse import parse_qsl

from gateway.egress.ask import Ask
from gateway.egress.config.model import Backend, Bind, Document, Listener, Match, PassRoute, Route
from gateway.egress.hosts import rank
from gateway.egress.refusals import Refusal, Refused


def bind_of(document: Document, port: int) -> Bind | None:
    """For what names its destination: the internal bind of the port, else the internal one of
    every port, else a standard one of the port."""
    wildcard = standard = None
    for bind in document.binds:
        if bind.internal and bind.port == port:
            return bind
        if bind.internal and bind.port == 0:
            wildcard = bind
        elif not bind.internal and bind.port == port and bind.listeners:
            standard = bind
    return wildcard or standard


def own_listeners(document: Document) -> list[Listener]:
    """Those that are reached as servers, by a base URL."""
    return [
        listener
        for bind in document.binds
        if not bind.internal
        for listener in bind.listeners
        if listener.protocol == "HTTP"
    ]


def _listens(listener: Listener, host: str) -> int | None:
    return rank(() if listener.hostname is None else (listener.hostname,), host)


def listener_for(listeners: Iterable[Listener], host: str) -> Listener | None:
    """The one whose own name, and then whose routes' names, cover the host best; None: no route of
    any of them is for it."""
    best: tuple[int, int] | None = None
    found = None
    for listener in listeners:
        own = _listens(listener, host)
        if own is None:
            continue
        names = [route.hostnames for route in listener.routes]
        names += [passed.hostnames for passed in listener.passes]
        ranks = [each for name in names if (each := rank(name, host)) is not None]
        if ranks and (best is None or (own, max(ranks)) > best):
            best, found = (own, max(ranks)), listener
    return found


def only_for(listeners: Iterable[Listener], host: str) -> Listener | None:
    """The one that such a request would be for, though none of its routes is."""
    ranked = [(each, one) for one in listeners if (each := _listens(one, host)) is not None]
    return max(ranked, key=lambda found: found[0])[1] if ranked else None


def pass_for(routes: Iterable[PassRoute], host: str) -> PassRoute | None:
    ranked: list[tuple[int, PassRoute]] = [
        (each, route) for route in routes if (each := rank(route.hostnames, host)) is not None
    ]
    return max(ranked, key=lambda found: found[0])[1] if ranked else None


def route_for(listeners: Iterable[Listener], ask: Ask) -> tuple[Listener, Route, Match] | None:
    """Host exact > longest wildcard > none; path exact > longest prefix > regex; then a method;
    then more headers; then more query parameters; then the first."""
    best: tuple[int, ...] | None = None
    found = None
    query: dict[str, str] | None = None
    for listener in listeners:
        own = _listens(listener, ask.host)
        if own is None:
            continue
        for route in listener.routes:
            host = rank(route.hostnames, ask.host)
            if host is None:
                continue
            for match in route.matches:
                if match.query and query is None:
                    query = dict(reversed(parse_qsl(ask.target.partition("?")[2], True)))
                path = _path_rank(match, ask.path)
                if path is None or not _suits(match, ask, query or {}):
                    continue
                order = (
                    own,
                    host,
                    *path,
                    match.method is not None,
                    len(match.headers),
                    len(match.query),
                )
                if best is None or order > best:
                    best, found = order, (listener, route, match)
    return found


def _path_rank(match: Match, path: str) -> tuple[int, int] | None:
    if match.exact is not None:
        return (3, 0) if path == match.exact else None
    if match.prefix is not None:
        prefix = match.prefix.rstrip("/")
        if path == prefix or path.startswith(prefix + "/"):
            return 2, len(prefix)
        return None
    assert match.regex is not None
    return (1, 0) if match.regex.fullmatch(path) else None


def _suits(match: Match, ask: Ask, query: dict[str, str]) -> bool:
    if match.method is not None and match.method != ask.method:
        return False
    pseudo = {":method": ask.method, ":path": ask.target, ":authority": ask.authority}
    for name, wanted in match.headers:
        value = pseudo.get(name) if name.startswith(":") else ask.headers.get(name)
        if not _is_value(wanted, value):
            return False
    return all(_is_value(wanted, query.get(name)) for name, wanted in match.query)


def _is_value(wanted: object, value: str | None) -> bool:
    if value is None:
        return False
    if isinstance(wanted, str):
        return wanted == value
    return wanted.fullmatch(value) is not None  # type: ignore[attr-defined]  # a re.Pattern[str]


def by_weight(name: str, backends: tuple[Backend, ...], chance: Random) -> Backend:
    weights = [each.weight for each in backends]
    if not any(weights):
        raise Refusal(Refused.NO_BACKEND, f"route {name} sends nothing anywhere")
    return backends[0] if len(weights) == 1 else chance.choices(backends, weights)[0]
