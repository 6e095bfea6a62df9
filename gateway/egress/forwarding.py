"""Forwarding: an admitted request as it goes on to one backend: where, in whose words, with which
credentials. Rules, no I/O, no clock.
"""

from dataclasses import dataclass, replace

from gateway.egress import heads
from gateway.egress.answering import with_prefix
from gateway.egress.ask import Ask, Fields
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import (
    Backend,
    Computed,
    Credential,
    Document,
    Edits,
    Match,
    Rate,
    Retry,
    Route,
    Source,
)
from gateway.egress.gate import Passage
from gateway.egress.hosts import covers
from gateway.egress.llm import bodies, kinds
from gateway.egress.metering.usage import Call, Operation, call_of


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Forward:
    """A request that is admitted. A plan puts its credentials into `fields`: it has no repr."""

    route: Route
    backend: Backend
    tls: bool
    host: str
    """Where to connect; a name that is still to be resolved, and its address to be judged."""
    port: int
    is_named: bool
    """The document says this very host, so its address may be a private one."""
    authority: str
    """What goes into Host."""
    method: str
    target: str
    fields: Fields
    credentials: tuple[Credential, ...]
    reach: str
    """The host that credentials are judged by."""
    once: bool = False
    """Made for this request alone: an equal one is decided anew."""
    call: Call | None = None
    """Of an LLM, that is counted."""
    edits: tuple[Edits, ...] = ()
    """Of the answer."""
    answered: tuple[Computed, ...] = ()
    body: bytes | None = None
    """What goes on in place of the request's body; None: that, as it comes."""
    delay_s: float = 0.0
    retry: Retry | None = None
    reserved: int = 0
    """LLM tokens that were taken before it was sent."""
    onward: "Onward | None" = None
    """From where it may be sent to another backend of its group."""
    taken: tuple[tuple[object, Rate], ...] = ()
    """The buckets that were asked; those of LLM tokens are charged when the use is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """A request that is admitted, before a backend was chosen."""

    route: Route
    match: Match
    backend: Backend
    """With its groups."""
    passage: Passage
    taken: tuple[tuple[object, Rate], ...]


def forward_to(backend: Backend, onward: Onward, document: Document) -> Forward:
    """Raises Refusal."""
    route, match, passage = onward.route, onward.match, onward.passage
    ask = passage.ask
    fields = heads.computed(passage.fields, backend.computed, ask)
    fields = heads.edited(fields, backend.request)
    host, port = (backend.host, backend.port) if backend.host else (ask.host, ask.port)
    # Of a dynamic backend the scheme that was asked for says it: what was opened as TLS is
    # closed as TLS, never sent on in the clear.
    tls = backend.tls is not None or (backend.host is None and ask.scheme == "https")
    target = _target(route, backend, match, ask)
    authority = _authority(host, port, tls=tls)
    if route.rewrite is not None and route.rewrite.authority is not None:
        authority = route.rewrite.authority or ask.authority
    elif route.rewrite is not None and route.rewrite.port is not None:
        authority = _authority(host, route.rewrite.port, tls=tls)
    body = None
    if ask.body is not None and backend.ai is not None:
        body = _llm_body(backend, match, ask, is_judged=bool(route.models))
    return Forward(
        route=route,
        backend=backend,
        tls=tls,
        host=host,
        port=port,
        is_named=backend.host is not None or names(route.hostnames, host),
        authority=authority,
        method=ask.method,
        target=target,
        fields=fields,
        credentials=(*_theirs(backend, ask, host), *_ours(document, ask, host)),
        reach=host,
        once=passage.once,
        call=_call(backend, ask),
        edits=passage.edits + (backend.response or route.response),
        answered=(*backend.answered, *passage.answered),
        body=body,
        taken=onward.taken,
        onward=onward,
    )


def _ours(document: Document, ask: Ask, host: str) -> list[Credential]:
    """Those of `rouse.credentials` that may go there for this actor."""
    found = []
    for credential in document.credentials:
        if not covers(credential.hosts, host):
            continue
        if credential.when is not None:
            try:
                if not credential.when.is_true(ask):
                    continue
            except CelFailed:
                continue
        found.append(credential)
    return found


def _theirs(backend: Backend, ask: Ask, host: str) -> list[Credential]:
    """The backend's own; a token that the caller showed takes the place of what passes one on."""
    found = []
    for credential in backend.credentials:
        if not covers(credential.hosts, host):
            continue
        if credential.passes:
            if ask.token is None:
                continue
            credential = replace(credential, source=Source(value=ask.token))
        found.append(credential)
    return found


def names(patterns: tuple[str, ...], host: str) -> bool:
    """Does the document say this very host, and not only a pattern over it? Only of an address: a
    name may come to mean another one."""
    return host in patterns and (":" in host or host.replace(".", "").isdigit())


def _llm_body(backend: Backend, match: Match, ask: Ask, *, is_judged: bool) -> bytes | None:
    """Raises Refusal."""
    ai = backend.ai
    assert ai is not None
    kind = kinds.kind_of(ai, ask)
    if not kinds.has_body(kind) or ask.method != "POST":
        return None
    given = bodies.read(ask)
    if ask.models is not None:
        bodies.check_allowed(ask, bodies.model_of(given))
    made = bodies.changed(ai, kind, given, ask)
    # What was judged is what is sent: a body may say its model twice.
    is_same = made == given and not is_judged and ask.models is None
    return None if is_same else bodies.written(made)


def _target(route: Route, backend: Backend, match: Match, ask: Ask) -> str:
    path, mark, query = ask.target.partition("?")
    rewrite, ai = route.rewrite, backend.ai
    if rewrite is not None and rewrite.full_path is not None:
        path = rewrite.full_path
    elif rewrite is not None and rewrite.prefix is not None:
        path = with_prefix(path, match, rewrite.prefix)
    elif ai is not None and match.prefix is not None and match.prefix != "/":
        # `/openai/v1/chat/completions` to an ai backend: its own path without the route's.
        path = with_prefix(path, match, "/")
    if ai is not None:
        kind = kinds.kind_of(ai, ask)
        kinds.check(ai, kind)
        path = kinds.path_of(ai, kind, path)
    return heads.checked_target(path + mark + query)


_OPERATIONS = {
    "completions": Operation.CHAT,
    "responses": Operation.CHAT,
    "messages": Operation.CHAT,
    "embeddings": Operation.EMBEDDINGS,
}


def _call(backend: Backend, ask: Ask) -> Call | None:
    """Of an ai backend by its kind, wherever its path leads; of others by their path."""
    if backend.ai is not None and ask.method == "POST":
        operation = _OPERATIONS.get(kinds.kind_of(backend.ai, ask))
        if operation is not None:
            return Call(operation=operation, provider=backend.ai.provider)
    return call_of(ask.method, ask.host, ask.path, backend.provider)


def _authority(host: str, port: int, *, tls: bool) -> str:
    written = f"[{host}]" if ":" in host else host
    return written if port == (443 if tls else 80) else f"{written}:{port}"
