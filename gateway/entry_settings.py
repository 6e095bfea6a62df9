"""Settings of who may come in and how: credentials, TLS, the PROXY protocol, limits, budgets.

Groups of `edge`; `settings` reads them, the wiring makes their parts.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from gateway.ingress.auth.identity import ALGORITHMS
from lifecycle.quantities import Size
from lifecycle.trust import Address, is_loopback
from placement.model import InvalidName, check_label

Accepted = Literal["none", "token", "jwt", "actor"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
_PARAMETER = re.compile(r"[0-9A-Za-z._~-]*")
_NOT_CREDENTIALS = frozenset(
    ("host", "connection", "content-length", "transfer-encoding", "upgrade", "cookie", "te")
)


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Auth(_Group, frozen=True, kw_only=True):
    accept: tuple[Accepted, ...] = ("none",)
    """What callers may show; `none` alone: the edge asks for nothing."""
    namespaces: dict[str, tuple[Accepted, ...]] = msgspec.field(default_factory=dict)
    """The same for single namespaces, in place of `accept`."""
    header: str = "Authorization"
    """Where a credential may stand; `Authorization` wants the Bearer scheme. Empty: not there."""
    cookie: str = "rouse-token"
    query: str = "rouse_token"
    forward: bool = False
    """Let the actor see the credential."""
    tokens_file: Path | None = None
    """Static tokens by their hashes: lines of `label sha256:<hex> scope,scope`."""
    jwks: str | None = None
    """The identity provider's keys: a file, or an https:// URL."""
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwt_scopes_claim: str = ""
    """The claim that holds namespaces or namespace/name; empty: a valid token opens all."""
    jwks_refresh_s: float = 300.0
    actor_keys_file: Path | None = None
    """Keys that sign actor tokens, lines of `id secret`; None: from the shared key, else one made
    in the data directory."""

    @property
    def kinds(self) -> frozenset[str]:
        """All that any namespace accepts."""
        given = [self.accept, *self.namespaces.values()]
        return frozenset(kind for kinds in given for kind in kinds if kind != "none")


class Tls(_Group, frozen=True, kw_only=True):
    cert_files: tuple[Path, ...] = ()
    """PEM chains, chosen by the names in them; the first one for callers who name none."""
    key_files: tuple[Path, ...] = ()
    """Their keys, in the same order."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    client_certs: Literal["off", "optional", "required"] = "off"
    client_ca_file: Path | None = None
    """Whose client certificates are taken."""
    redirect_listen: str | None = None
    """host:port where plain HTTP is answered by a redirect to https."""
    redirect_port: int | None = None
    """Where clients find https, if that is not the port of edge.listen."""

    @property
    def is_on(self) -> bool:
        return bool(self.cert_files)


class Limits(_Group, frozen=True, kw_only=True):
    """Each holds in one edge process."""

    connections: int = 16_384
    """One more ends the oldest that has no request open, or is answered 503."""
    requests_per_actor: int = 4096
    """Requests open on one actor, waiting ones and streams included; one more is 429. 0: any."""
    parked_bytes: Size = msgspec.field(default_factory=lambda: Size(256 * 2**20))
    """What the requests that wait for wakes may have brought, in all; more is 429."""
    requests_per_s: float = 0.0
    """That one client address (of IPv6: /64) may begin, over time; above it 429. 0: any."""
    burst: int = 100
    """And how many at once."""


class Budgets(_Group, frozen=True, kw_only=True):
    """How long things may take; 0 is for ever. A request as a whole has no budget by default."""

    head_s: float = 15.0
    """From a request's first byte to the end of its head, else 400."""
    keep_alive_s: float = 75.0
    """A connection without a request is closed after this."""
    first_byte_s: float = 0.0
    """From the end of a request to the head of its answer (or to the upgrade), else 504."""
    request_s: float = 0.0
    """For all of a request, a WebSocket too: 504, or a broken answer."""
    connect_s: float = 5.0
    """One connect to an actor or a worker's door; then the next way is tried, else 503."""
    body_idle_s: float = 60.0
    """In which a client that owes its body sends none of it: then it is disconnected."""
    stream_idle_s: float = 3600.0
    """In which neither side sent a byte."""
    websocket_quiet_s: float = 600.0
    """In which a WebSocket carried no data, only pings: then it is closed (1001), so that its actor
    may sleep."""


def check_auth(auth: Auth) -> Iterator[tuple[str, str]]:
    """(setting, why not) of what the types cannot say."""
    for where, kinds in (("accept", auth.accept), *_by_namespace(auth)):
        if not kinds or ("none" in kinds and len(kinds) > 1):
            yield where, "say what is accepted, or `none` alone"
    for namespace in auth.namespaces:
        try:
            check_label(namespace, "namespace")
        except InvalidName as error:
            yield "namespaces", str(error)
    if _TOKEN.fullmatch(auth.header) is None or auth.header.lower() in _NOT_CREDENTIALS:
        yield "header", f"{auth.header[:80]!r} is no field that can hold a credential"
    if _TOKEN.fullmatch(auth.cookie) is None:
        yield "cookie", f"{auth.cookie[:80]!r} is no cookie's name"
    if _PARAMETER.fullmatch(auth.query) is None:
        yield "query", f"{auth.query[:80]!r} is no parameter's name of letters, digits, . _ ~ -"
    if not (auth.header or auth.cookie or auth.query) and auth.kinds:
        yield "header", "a credential must be able to stand somewhere"
    if "token" in auth.kinds and auth.tokens_file is None:
        yield "tokens_file", "static tokens are accepted, so say where they are"
    if "jwt" in auth.kinds:
        yield from _check_jwt(auth)


def _by_namespace(auth: Auth) -> Iterator[tuple[str, tuple[Accepted, ...]]]:
    for kinds in auth.namespaces.values():
        yield "namespaces", kinds


def _check_jwt(auth: Auth) -> Iterator[tuple[str, str]]:
    for name in ("jwks", "jwt_issuer", "jwt_audience"):
        if not getattr(auth, name):
            yield name, "JWTs are accepted, so this must be said"
    for algorithm in auth.jwt_algorithms:
        if algorithm not in ALGORITHMS:
            yield "jwt_algorithms", f"{algorithm[:80]!r} is none of {', '.join(ALGORITHMS)}"
    if not auth.jwt_algorithms:
        yield "jwt_algorithms", "say at least one"
    if is_url(auth.jwks or "") and not _is_private(auth.jwks or ""):
        yield "jwks", "keys come over https, or from this machine: anybody can change plain http"


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _is_private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def check_tls(tls: Tls) -> Iterator[tuple[str, str]]:
    if len(tls.cert_files) != len(tls.key_files):
        yield "key_files", f"{len(tls.key_files)} keys for {len(tls.cert_files)} certificates"
    if not tls.cert_files and (tls.redirect_listen or tls.client_certs != "off"):
        yield "cert_files", "there is no TLS without a certificate"
    if (tls.client_certs == "off") != (tls.client_ca_file is None):
        yield "client_ca_file", "goes with client_certs: optional or required, and they with it"
    if tls.redirect_port is not None and not 0 < tls.redirect_port < 65536:
        yield "redirect_port", f"{tls.redirect_port} is no port"
    if tls.redirect_listen is not None:
        try:
            address = Address.parse(tls.redirect_listen)
        except ValueError as error:
            yield "redirect_listen", str(error)
        else:
            if address.is_unix:
                yield "redirect_listen", "clients come by TCP: write host:port"
