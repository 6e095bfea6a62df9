"""The egress document as policy reads it: values, compiled expressions, no secret in a repr."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from gateway.egress.cel import Expression

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Any deny true (or failing): deny. Any require not true: deny. Any allow true: allow. Else
    deny only where there are allow rules."""

    allow: tuple[Expression, ...] = ()
    deny: tuple[Expression, ...] = ()
    require: tuple[Expression, ...] = ()

    def __add__(self, other: "Rules") -> "Rules":
        return Rules(
            allow=self.allow + other.allow,
            deny=self.deny + other.deny,
            require=self.require + other.require,
        )

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny or self.require)


NO_RULES = Rules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edits:
    """Static headers: add, then set, then remove."""

    add: tuple[tuple[str, str], ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """Headers by CEL; an expression that fails removes its header."""

    add: tuple[tuple[str, Expression], ...] = ()
    set: tuple[tuple[str, Expression], ...] = ()
    remove: tuple[str, ...] = ()


# Credentials ---------------------------------------------------------------------------------


class Place(Enum):
    HEADER = auto()
    QUERY = auto()
    COOKIE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    place: Place = Place.HEADER
    name: str = "authorization"
    prefix: str = ""


BEARER = Location(prefix="Bearer ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a secret comes from: exactly one of the first six."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None
    env: str | None = None
    command: tuple[str, ...] | None = None
    http: "HttpSource | None" = None
    oauth: "OAuth | None" = None
    ttl_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSource:
    url: str
    headers: tuple[tuple[str, Source], ...] = ()
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    token_url: str
    client_id: str
    client_secret: Source
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    access_key_id: Source
    secret_access_key: Source
    session_token: Source | None
    service: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One secret: to which hosts it may go, for whom, and how it gets into a request."""

    name: str
    hosts: tuple[str, ...]
    """Names or `*.x`; it goes to no other, whatever a route says."""
    source: Source = Source(value="")
    when: Expression | None = None
    placeholder: str | None = None
    location: Location = BEARER
    username: str | None = None
    """Basic: the secret is the password of this user."""
    aws: Aws | None = None
    plain_http: bool = False


# Backends and routes -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTls:
    cert: Path | None = None
    key: Path | None = None
    root: Path | None = None
    """The CA that is pinned; None: the system's."""
    hostname: str | None = None
    """Name to verify and to send as SNI, in place of the host."""


SYSTEM_TLS = BackendTls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    host: str | None
    """None: dynamic, where the request says."""
    port: int = 0
    tls: BackendTls | None = None
    weight: int = 1
    rules: Rules = NO_RULES
    request: tuple[Edits, ...] = ()
    response: tuple[Edits, ...] = ()
    computed: tuple[Computed, ...] = ()
    provider: str = ""
    """`openai` or `anthropic`, of an ai backend."""
    path_override: str | None = None
    path_prefix: str | None = None


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
    headers: Computed = Computed()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """Compared by identity: buckets and counters hang on it."""

    name: str
    hostnames: tuple[str, ...] = ()
    matches: tuple[Match, ...] = (ANY,)
    backends: tuple[Backend, ...] = ()
    rules: Rules = NO_RULES
    rates: tuple[Rate, ...] = ()
    credentials: tuple[Credential, ...] = ()
    request: tuple[Edits, ...] = ()
    response: tuple[Edits, ...] = ()
    computed: tuple[Computed, ...] = ()
    answered: tuple[Computed, ...] = ()
    """What CEL makes of the answer's headers."""
    rewrite: Rewrite | None = None
    redirect: Redirect | None = None
    direct: Direct | None = None
    request_timeout_s: float | None = None
    backend_timeout_s: float | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassRoute:
    """A CONNECT that is passed through unopened."""

    name: str
    hostnames: tuple[str, ...] = ()
    host: str | None = None
    """None: dynamic, where CONNECT says."""
    port: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerTls:
    cert: Path | None = None
    """None: with `dynamic`, the CA that rouse made itself."""
    key: Path | None = None
    dynamic: bool = False
    min_version: str | None = None
    max_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listener:
    name: str
    protocol: str
    hostname: str | None = None
    tls: ListenerTls | None = None
    routes: tuple[Route, ...] = ()
    passes: tuple[PassRoute, ...] = ()
    rules: Rules = NO_RULES
    computed: tuple[Computed, ...] = ()


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
    """`USD` or `Tokens`."""
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    binds: tuple[Bind, ...] = ()
    connect: Connect = Connect.DENY
    network_rules: Rules = NO_RULES
    access_log: AccessLog = AccessLog()
    private: tuple[Network, ...] = ()
    credentials: tuple[Credential, ...] = ()
    budgets: tuple[Budget, ...] = ()
    actors: Rules | None = None
    """None: one's own namespace."""
    prices: Path | None = None
    files: tuple[Path, ...] = ()
    """Everything it was read from beside itself; a change of one is a change of the document."""
    warnings: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)
