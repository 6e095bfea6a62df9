"""Documents and asks for the tests of egress."""

from collections.abc import Mapping
from random import Random
from typing import Any

from gateway.egress.ask import Actor, Ask, Way
from gateway.egress.config.model import Document
from gateway.egress.config.reading import read
from gateway.egress.deciding import Decider
from gateway.egress.limits import Buckets

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


def decider(made: Document) -> Decider:
    return Decider(made, Buckets(), Random(1))


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
