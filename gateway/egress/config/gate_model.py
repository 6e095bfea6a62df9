"""Who may pass, as policy reads it: what a caller shows, and the services that are asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.egress.cel import Expression
from gateway.egress.config.values import (
    BEARER,
    NO_RULES,
    BackendTls,
    Computed,
    Credential,
    Location,
    Rules,
    Source,
)


class Mode(Enum):
    STRICT = "strict"
    """Must be there, and good."""
    OPTIONAL = "optional"
    """May be absent; what is there must be good. agentgateway's default."""
    PERMISSIVE = "permissive"
    """Nobody is refused; what is good is known to the rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Where a caller's own credential stands. It goes no further."""

    location: Location = BEARER
    expression: Expression | None = None
    """In place of a location; then nothing is taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    metadata: Mapping[str, object] = field(default_factory=dict)
    models: tuple[str, ...] | None = None
    """Names or patterns with one `*` at an end; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ApiKeys:
    by_digest: Mapping[str, ApiKey] = field(repr=False)
    """By SHA-256, in hexadecimal."""
    mode: Mode
    shown: Shown = Shown()


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    users: Source
    """Text in the format of htpasswd."""
    realm: str
    mode: Mode
    shown: Shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    name: str
    audiences: tuple[str, ...]
    required: tuple[str, ...]
    keys: Source
    """A JWKS document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtAuth:
    issuers: tuple[Issuer, ...]
    mode: Mode
    shown: Shown = Shown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Lists, or `*` alone."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What we call ourselves, for a decision."""

    host: str
    port: int
    tls: BackendTls | None = None
    credentials: tuple[Credential, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzCache:
    key: tuple[Expression, ...]
    ttl: Expression
    most: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExtAuthz:
    """Compared by identity: what was answered is kept by it."""

    service: Service
    path: Expression | None = None
    body: Expression | None = None
    redirect: Expression | None = None
    copied: tuple[str, ...] = ()
    """Fields of its answer that go on with the request."""
    added: tuple[tuple[str, Expression], ...] = ()
    metadata: tuple[tuple[str, Expression], ...] = ()
    failure_status: int | None = 403
    """When it does not answer; None: then what was asked passes."""
    sent: tuple[str, ...] = ("authorization",)
    """Fields of the request that it is shown."""
    body_bytes: int | None = None
    """How much of the body it is shown; None: nothing."""
    body_may_be_cut: bool = False
    cache: AuthzCache | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gate:
    """In this order: cors, jwt, basic, api keys, authz, rules, computed."""

    cors: Cors | None = None
    jwt: JwtAuth | None = None
    basic: BasicAuth | None = None
    api_keys: ApiKeys | None = None
    authz: ExtAuthz | None = None
    rules: Rules = NO_RULES
    computed: tuple[Computed, ...] = ()
    answered: tuple[Computed, ...] = ()
    """What CEL makes of the answer's headers."""


NO_GATE = Gate()
