"""Documents and asks for the tests of egress."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from gateway.egress import needs
from gateway.egress.ask import Actor, Ask, Way
from gateway.egress.callers.keyring import Keyring
from gateway.egress.config.model import Document, Listener, Source
from gateway.egress.config.reading import read
from gateway.egress.deciding import Decider
from gateway.egress.forwarding import Forward
from gateway.egress.limits import Buckets
from gateway.egress.refusals import Answer

FACTS = """
frontendPolicies: {accessLog: {add: {actor: 'source.connectHeaders["x-actor"]'}}}
binds:
- {port: 3128, tunnelProtocol: connect, listeners: []}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {mode: dynamicCa, cert: /etc/rouse/ca.crt, key: /etc/rouse/ca.key}
    routes:
    - name: models
      hostnames: [api.openai.com]
      backends: [{ai: {name: openai, provider: {openAI: {}}, policies:
        {backendAuth: {key: {file: /etc/rouse/secrets/openai}}}}}]
    - name: read-repos
      hostnames: [api.github.com]
      matches: [{path: {pathPrefix: /repos}, method: GET}]
      policies: {backendAuth: {key: "${GITHUB_TOKEN}"},
        localRateLimit: [{maxTokens: 30, tokensPerFill: 30, fillInterval: 60s}]}
      backends: [{dynamic: {}, policies: {backendTLS: {}}}]
"""
"""agentgateway.md, section 14: both of us must load it."""


def document(text: str, environ: Mapping[str, str] | None = None) -> Document:
    return read(text, environ or {"GITHUB_TOKEN": "ghp_1: #'\""})


def http(routes: str, more: str = "") -> Document:
    """One wildcard listener of plain HTTP with these routes."""
    return document(
        f"binds: [{{mode: internal, listeners: [{{name: all, routes: {routes}}}]}}]\n{more}"
    )


def text(source: Source) -> str:
    """What stands in the document itself."""
    if source.value is None:
        raise LookupError
    return source.value


def decider(made: Document) -> Decider:
    return Decider(made, Buckets(), Random(1), Keyring(text))


def decided(
    made: Decider,
    asked: Ask,
    listeners: list[Listener] | None = None,
    now: float = 0.0,
    *,
    meet: Callable[[needs.Need], object] | None = None,
) -> Forward | Answer:
    """The decision, with what it needs computed here, and bodies as the ask has them."""

    def met(need: needs.Need) -> object:
        if isinstance(need, needs.Work):
            return need.compute()
        return asked.body if isinstance(need, needs.Body) else None

    where = made.listeners_for(asked) if listeners is None else listeners
    return needs.run(made.steps(asked, where, frozenset(), now), meet or met)


ACTOR = Actor(namespace="demo", name="c1", template="counter", uid="u1", epoch=3)


def ask(
    host: str = "example.com",
    target: str = "/",
    *,
    method: str = "GET",
    port: int = 80,
    actor: Actor = ACTOR,
    **more: Any,  # further fields of an Ask
) -> Ask:
    return Ask(
        actor=actor,
        way=more.pop("way", Way.ABSOLUTE),
        scheme=more.pop("scheme", "http"),
        host=host,
        port=port,
        method=method,
        target=target,
        **more,
    )
