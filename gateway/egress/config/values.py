"""What the model is made of: rules, edits, secrets and their sources. No secret in a repr."""

from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from gateway.egress.cel import Expression


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


NO_COMPUTED = Computed()


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
BASIC = Location(prefix="Basic ")


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
    passes: bool = False
    """Not a secret of ours: the token that the caller showed, once it was found good."""
    when: Expression | None = None
    placeholder: str | None = None
    location: Location = BEARER
    username: str | None = None
    """Basic: the secret is the password of this user."""
    aws: Aws | None = None
    plain_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTls:
    cert: Path | None = None
    key: Path | None = None
    root: Path | None = None
    """The CA that is pinned; None: the system's."""
    hostname: str | None = None
    """Name to verify and to send as SNI, in place of the host."""
    alt_names: tuple[str, ...] = ()
    """The certificate has to be for one of these, in place of the name."""
    group: str | None = None
    """The only one for the key exchange."""


SYSTEM_TLS = BackendTls()
