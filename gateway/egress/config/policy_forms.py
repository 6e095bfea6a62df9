"""The forms of policies: what routes, listeners, gateways and backends may say."""

from typing import Any, Literal

import msgspec

from gateway.egress.config.shapes import Form, LocationForm, Secret
from lifecycle.quantities import Duration

Mode = Literal["strict", "optional", "permissive"]


class HeadersForm(Form, frozen=True, kw_only=True):
    add: dict[str, str] = {}
    set: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class TransformationsForm(Form, frozen=True, kw_only=True):
    request: HeadersForm | None = None
    response: HeadersForm | None = None


class AuthorityForm(Form, frozen=True, kw_only=True):
    full: str | None = None
    host: str | None = None
    port: int | None = None


class RewritePathForm(Form, frozen=True, kw_only=True):
    full: str | None = None
    prefix: str | None = None


class RewriteForm(Form, frozen=True, kw_only=True):
    authority: AuthorityForm | Literal["auto", "none"] | None = None
    path: RewritePathForm | None = None


class RedirectForm(Form, frozen=True, kw_only=True):
    scheme: Literal["http", "https"] | None = None
    authority: AuthorityForm | None = None
    path: RewritePathForm | None = None
    status: int = 302


class DirectForm(Form, frozen=True, kw_only=True):
    status: int
    body: str = ""
    body_expression: str | None = None
    headers: dict[str, str] = {}
    """By CEL."""


class TimeoutForm(Form, frozen=True, kw_only=True):
    request_timeout: Duration | None = None
    backend_request_timeout: Duration | None = None


class DelayForm(Form, frozen=True, kw_only=True):
    duration: str
    """As `2s`, or CEL that gives a duration."""


class RateForm(Form, frozen=True, kw_only=True):
    max_tokens: int
    tokens_per_fill: int
    fill_interval: Duration
    type: Literal["requests", "tokens"] = "requests"
    key: str | None = None


class RuleForm(Form, frozen=True, kw_only=True):
    allow: str | None = None
    deny: str | None = None
    require: str | None = None


class AuthorizationForm(Form, frozen=True, kw_only=True):
    rules: tuple[str | RuleForm, ...]


class BackendTlsForm(Form, frozen=True, kw_only=True):
    cert: str | None = None
    key: str | None = None
    root: str | None = None
    hostname: str | None = None
    alpn: tuple[str, ...] | None = None
    subject_alt_names: tuple[str, ...] | None = None
    key_exchange_groups: tuple[str, ...] = ()


class KeyForm(Form, frozen=True, kw_only=True):
    """`{file}` and `{value, location}`: both are mappings, so one form with all of it."""

    file: str | None = None
    value: Secret | None = None
    location: LocationForm | None = None


class CredentialForm(Form, frozen=True, kw_only=True):
    location: LocationForm
    key: Secret


class PassthroughForm(Form, frozen=True, kw_only=True):
    location: LocationForm | None = None


class BackendAuthForm(Form, frozen=True, kw_only=True):
    key: str | KeyForm | None = None
    passthrough: PassthroughForm | None = None
    credentials: tuple[CredentialForm, ...] = ()


class RetryForm(Form, frozen=True, kw_only=True):
    attempts: int = 1
    backoff: Duration | None = None
    codes: tuple[int, ...]
    precondition: str | None = None
    condition: str | None = None


# Who calls ------------------------------------------------------------------------------------


class CorsForm(Form, frozen=True, kw_only=True):
    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age: Duration | None = None


class ReadLocationForm(LocationForm, frozen=True, kw_only=True):
    """Where a caller shows who it is; unlike where a credential is put, it may be computed."""

    expression: str | None = None


class ApiKeyForm(Form, frozen=True, kw_only=True):
    key: str | None = None
    key_hash: str | None = None
    metadata: Any = None  # JSON of the operator's own
    allowed_models: tuple[str, ...] | None = None


class ApiKeysForm(Form, frozen=True, kw_only=True):
    keys: tuple[ApiKeyForm, ...]
    mode: Mode = "optional"
    location: ReadLocationForm | None = None


class BasicAuthForm(Form, frozen=True, kw_only=True):
    htpasswd: Secret
    realm: str | None = None
    mode: Literal["strict", "optional"] = "optional"
    authorization_location: ReadLocationForm | None = None


class JwksForm(Form, frozen=True, kw_only=True):
    file: str | None = None
    inline: str | None = None
    url: str | None = None


class ValidationForm(Form, frozen=True, kw_only=True):
    required_claims: tuple[str, ...] = ("exp",)


class IssuerForm(Form, frozen=True, kw_only=True):
    issuer: str
    audiences: tuple[str, ...] | None = None
    jwks: str | JwksForm
    jwt_validation_options: ValidationForm = ValidationForm()


class JwtAuthForm(Form, frozen=True, kw_only=True):
    """One issuer, or several in `providers`."""

    issuer: str | None = None
    audiences: tuple[str, ...] | None = None
    jwks: str | JwksForm | None = None
    jwt_validation_options: ValidationForm | None = None
    providers: tuple[IssuerForm, ...] = ()
    mode: Mode = "optional"
    location: ReadLocationForm | None = None


class AuthzHttpForm(Form, frozen=True, kw_only=True):
    path: str | None = None
    redirect: str | None = None
    body: str | None = None
    include_response_headers: tuple[str, ...] = ()
    add_request_headers: dict[str, str] = {}
    metadata: dict[str, str] = {}


class AuthzProtocolForm(Form, frozen=True, kw_only=True):
    http: AuthzHttpForm | None = None


class DenyWithForm(Form, frozen=True, kw_only=True):
    deny_with_status: int


class AuthzBodyForm(Form, frozen=True, kw_only=True):
    max_request_bytes: int = 8192
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


class AuthzCacheForm(Form, frozen=True, kw_only=True):
    key: tuple[str, ...]
    ttl: str
    max_entries: int = 10_000


class ExtAuthzForm(Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None
    policies: "SimplePoliciesForm | None" = None
    protocol: AuthzProtocolForm = AuthzProtocolForm()
    failure_mode: Literal["allow", "deny"] | DenyWithForm = "deny"
    include_request_headers: tuple[str, ...] = ()
    include_request_body: AuthzBodyForm | None = None
    cache: AuthzCacheForm | None = None


# Of the way to a backend ----------------------------------------------------------------------


class HttpForm(Form, frozen=True, kw_only=True):
    version: str | None = None
    request_timeout: Duration | None = None


class KeepalivesForm(Form, frozen=True, kw_only=True):
    enabled: bool = True
    time: Duration = msgspec.field(default_factory=lambda: Duration(180))
    interval: Duration = msgspec.field(default_factory=lambda: Duration(180))
    retries: int = 9


class TcpForm(Form, frozen=True, kw_only=True):
    keepalives: KeepalivesForm
    connect_timeout: Duration


class TunnelProxyForm(Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None


class TunnelForm(Form, frozen=True, kw_only=True):
    proxy: TunnelProxyForm
    policies: "SimplePoliciesForm | None" = None


class SimplePoliciesForm(Form, frozen=True, kw_only=True):
    """Of a service that we call ourselves."""

    request_header_modifier: HeadersForm | None = None
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_auth: BackendAuthForm | None = None
    http: HttpForm | None = None


# LLMs -----------------------------------------------------------------------------------------

RouteType = Literal[
    "completions", "messages", "models", "passthrough", "detect", "responses", "embeddings"
]


class AiPolicyForm(Form, frozen=True, kw_only=True):
    defaults: dict[str, Any] = {}  # JSON of a request's body
    overrides: dict[str, Any] = {}  # the same
    model_aliases: dict[str, str] = {}
    routes: dict[str, RouteType] = {}


# Together -------------------------------------------------------------------------------------


class GateForm(Form, frozen=True, kw_only=True):
    """Of listeners and gateways: before a route is chosen."""

    cors: CorsForm | None = None
    jwt_auth: JwtAuthForm | None = None
    basic_auth: BasicAuthForm | None = None
    api_key: ApiKeysForm | None = None
    ext_authz: ExtAuthzForm | None = None
    authorization: AuthorizationForm | None = None
    transformations: TransformationsForm | None = None


class PoliciesForm(GateForm, frozen=True, kw_only=True):
    """Of routes."""

    request_header_modifier: HeadersForm | None = None
    response_header_modifier: HeadersForm | None = None
    url_rewrite: RewriteForm | None = None
    request_redirect: RedirectForm | None = None
    direct_response: DirectForm | None = None
    timeout: TimeoutForm | None = None
    retry: RetryForm | None = None
    delay: DelayForm | None = None
    local_rate_limit: tuple[RateForm, ...] = ()
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_auth: BackendAuthForm | None = None
    backend_tunnel: TunnelForm | None = None
    ai: AiPolicyForm | None = None


class BackendPoliciesForm(Form, frozen=True, kw_only=True):
    request_header_modifier: HeadersForm | None = None
    response_header_modifier: HeadersForm | None = None
    request_redirect: RedirectForm | None = None
    transformations: TransformationsForm | None = None
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_auth: BackendAuthForm | None = None
    backend_tunnel: TunnelForm | None = None
    authorization: AuthorizationForm | None = None
    ext_authz: ExtAuthzForm | None = None
    http: HttpForm | None = None
    tcp: TcpForm | None = None
    ai: AiPolicyForm | None = None


class TcpBackendPoliciesForm(Form, frozen=True, kw_only=True):
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    backend_tunnel: TunnelForm | None = None


class TcpPoliciesForm(Form, frozen=True, kw_only=True):
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
