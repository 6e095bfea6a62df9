"""The egress document as policy reads it: values, compiled expressions, no secret in a repr."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from gateway.egress.cel import Expression
from gateway.egress.config.gate_model import NO_GATE, ExtAuthz, Gate
from gateway.egress.config.values import (
    BEARER,
    NO_COMPUTED,
    NO_RULES,
    SYSTEM_TLS,
    Aws,
    BackendTls,
    Computed,
    Credential,
    Edits,
    HttpSource,
    Location,
    OAuth,
    Place,
    Rules,
    Source,
)

__all__ = [
    "BEARER",
    "NO_RULES",
    "SYSTEM_TLS",
    "Aws",
    "BackendTls",
    "Computed",
    "Credential",
    "Edits",
    "HttpSource",
    "Location",
    "OAuth",
    "Place",
    "Rules",
    "Source",
]

Network = IPv4Network | IPv6Network


# Backends and routes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    connect_timeout_s: float | None = None
    keepalive: tuple[int, int, int] | None = None
    """Seconds of silence, seconds between probes, probes; None: none are sent."""


NO_TCP = Tcp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An HTTP proxy upstream of us."""

    host: str
    port: int
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ai:
    """What an ai backend makes of a request's body and path."""

    provider: str
    model: str | None = None
    """Takes the place of whatever was asked for."""
    formats: tuple[tuple[str, str | None], ...] = ()
    """Of a custom provider: what it understands, and where; empty: what the provider knows."""
    aliases: tuple[tuple[str, str], ...] = ()
    defaults: tuple[tuple[str, object], ...] = ()
    overrides: tuple[tuple[str, object], ...] = ()
    computed: tuple[tuple[str, Expression], ...] = ()
    routes: tuple[tuple[str, str], ...] = ()
    """Ends of paths, the longest first, and what they are."""
    path_override: str | None = None
    path_prefix: str | None = None
    is_elsewhere: bool = False
    """Not at the provider's own host: then its paths are its own, too."""
    tokenizes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    host: str | None
    """None: dynamic, where the request says."""
    port: int = 0
    unix: str | None = None
    """A socket in the file system, in place of an address."""
    http2: bool = False
    """HTTP/2 is tried first."""
    tls: BackendTls | None = None
    weight: int = 1
    rules: Rules = NO_RULES
    authz: ExtAuthz | None = None
    request: tuple[Edits, ...] = ()
    response: tuple[Edits, ...] = ()
    computed: tuple[Computed, ...] = ()
    answered: tuple[Computed, ...] = ()
    credentials: tuple[Credential, ...] = ()
    redirect: "Redirect | None" = None
    timeout_s: float | None = None
    tcp: Tcp = NO_TCP
    chain: Chain | None = None
    ai: Ai | None = None
    groups: tuple[tuple["Backend", ...], ...] = ()
    """Of an ai backend: its providers, those of the next group for when all of one are out."""

    @property
    def provider(self) -> str:
        """Of an ai backend."""
        return "" if self.ai is None else self.ai.provider


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmModel:
    name: str
    """`*` at one end, or alone, stands for anything."""
    backend: Backend
    headers: tuple[tuple[tuple[str, str | re.Pattern[str]], ...], ...] = ()
    """One of these lists has to fit, if there are any."""
    rules: Rules = NO_RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    exact: str | None = None
    prefix: str | None = None
    regex: re.Pattern[str] | None = None
    method: str | None = None
    headers: tuple[tuple[str, str | re.Pattern[str]], ...] = ()
    query: tuple[tuple[str, str | re.Pattern[str]], ...] = ()


ANY = Match(prefix="/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    max_tokens: int
    per_fill: int
    interval_s: float
    counts_llm: bool = False
    """LLM tokens in place of requests."""
    key: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    authority: str | None = None
    """None: the backend's own host; empty: as it came."""
    port: int | None = None
    """Of the backend's host, another port."""
    full_path: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    full_path: str | None = None
    prefix: str | None = None
    status: int = 302


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    status: int
    body: bytes = b""
    expression: Expression | None = None
    headers: Computed = NO_COMPUTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    attempts: int
    """After the first one."""
    backoff_s: float
    codes: frozenset[int]
    precondition: Expression | None = None
    condition: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """Compared by identity: buckets and counters hang on it."""

    name: str
    hostnames: tuple[str, ...] = ()
    matches: tuple[Match, ...] = (ANY,)
    backends: tuple[Backend, ...] = ()
    models: tuple[LlmModel, ...] = ()
    """In place of backends: the one whose model the body asks for."""
    gate: Gate = NO_GATE
    rates: tuple[Rate, ...] = ()
    retry: Retry | None = None
    request: tuple[Edits, ...] = ()
    response: tuple[Edits, ...] = ()
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    direct: Direct | None = None
    request_timeout_s: float | None = None
    backend_timeout_s: float | None = None
    delay: Expression | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassRoute:
    """A CONNECT that is passed through unopened."""

    name: str
    hostnames: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    cert: Path | None = None
    """None: with `dynamic`, the CA that rouse made itself."""
    key: Path | None = None
    dynamic: bool = False
    min_version: str | None = None
    max_version: str | None = None
    root: Path | None = None
    """Clients have to show a certificate of this CA."""
    ciphers: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listener:
    name: str
    protocol: str
    hostname: str | None = None
    tls: ListenerTls | None = None
    routes: tuple[Route, ...] = ()
    passes: tuple[PassRoute, ...] = ()
    gate: Gate = NO_GATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    port: int
    """0: of every port (internal only)."""
    internal: bool
    listeners: tuple[Listener, ...]


class Connect(Enum):
    DENY = auto()
    TUNNEL = auto()
    ROUTE = auto()


# Budgets and the whole -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    name: str
    unit: str
    """`USD` or `Tokens` of LLM calls, or `Requests` of any kind."""
    amount: float
    window_s: float
    blocks: bool
    per: str
    """`actor` or `namespace`."""
    when: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    filter: Expression | None = None
    add: tuple[tuple[str, Expression], ...] = ()
    remove: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    removed: frozenset[str] = frozenset()
    """Names of metrics that this document's calls do not count in."""
    labels: tuple[tuple[str, Expression], ...] = ()
    """Put beside the decision, with bounded values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    binds: tuple[Bind, ...] = ()
    connect: Connect = Connect.DENY
    network_rules: Rules = NO_RULES
    access_log: AccessLog = AccessLog()
    log_level: str | None = None
    metrics: Metrics = Metrics()
    private: tuple[Network, ...] = ()
    credentials: tuple[Credential, ...] = ()
    budgets: tuple[Budget, ...] = ()
    actors: Rules | None = None
    """None: one's own namespace."""
    catalogs: tuple[Path | bytes, ...] = ()
    files: tuple[Path, ...] = ()
    """Everything it was read from beside itself; a change of one is a change of the document."""
    warnings: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)
