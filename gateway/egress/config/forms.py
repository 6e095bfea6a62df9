"""The shape of an egress document: agentgateway's names. `rouse` at the top is ours alone."""

from typing import Any, Literal

import msgspec

from gateway.egress.config.backend_forms import BackendForm, NamedBackendForm, TcpBackendForm
from gateway.egress.config.llm_forms import LlmForm
from gateway.egress.config.our_forms import RouseForm
from gateway.egress.config.policy_forms import (
    AuthorizationForm,
    GateForm,
    PoliciesForm,
    TcpPoliciesForm,
)
from gateway.egress.config.shapes import Form, MatchForm


class RouteForm(Form, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    rule_name: str = ""
    hostnames: tuple[str, ...] = ()
    matches: tuple[MatchForm, ...] = ()
    policies: PoliciesForm = PoliciesForm()
    backends: tuple[BackendForm, ...] = ()
    gateways: str | tuple[str, ...] = ()


class TcpRouteForm(Form, frozen=True, kw_only=True):
    name: str = ""
    hostnames: tuple[str, ...] = ()
    policies: TcpPoliciesForm = TcpPoliciesForm()
    backends: tuple[TcpBackendForm, ...] = ()
    gateways: str | tuple[str, ...] = ()


class TlsForm(Form, frozen=True, kw_only=True):
    mode: Literal["static", "dynamicCa"] = "static"
    cert: str | None = None
    key: str | None = None
    root: str | None = None
    cipher_suites: tuple[str, ...] = ()
    key_exchange_groups: tuple[str, ...] = ()
    min_tls_version: Literal["TLS_V1_2", "TLS_V1_3"] | None = msgspec.field(
        default=None, name="minTLSVersion"
    )
    max_tls_version: Literal["TLS_V1_2", "TLS_V1_3"] | None = msgspec.field(
        default=None, name="maxTLSVersion"
    )


class ListenerForm(Form, frozen=True, kw_only=True):
    name: str = ""
    namespace: str = ""
    hostname: str | None = None
    protocol: Literal["HTTP", "HTTPS", "TLS"] = "HTTP"
    tls: TlsForm | None = None
    routes: tuple[RouteForm, ...] = ()
    tcp_routes: tuple[TcpRouteForm, ...] = ()
    policies: GateForm = GateForm()


class BindForm(Form, frozen=True, kw_only=True):
    port: int = 0
    listeners: tuple[ListenerForm, ...]
    tunnel_protocol: Literal["direct", "connect"] = "direct"
    mode: Literal["standard", "internal"] = "standard"


class GatewayForm(GateForm, frozen=True, kw_only=True):
    port: int
    protocol: Literal["HTTP", "HTTPS", "TLS"] = "HTTP"
    tls: TlsForm | None = None
    listeners: tuple[ListenerForm, ...] = ()


class ConnectForm(Form, frozen=True, kw_only=True):
    mode: Literal["deny", "tunnel", "route"] = "deny"


class AccessLogForm(Form, frozen=True, kw_only=True):
    filter: str | None = None
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class FrontendForm(Form, frozen=True, kw_only=True):
    connect: ConnectForm | None = None
    network_authorization: AuthorizationForm | None = None
    access_log: AccessLogForm | None = None


class CatalogSourceForm(Form, frozen=True, kw_only=True):
    file: str | None = None
    inline: str | dict[str, Any] | None = None


class LoggingFieldsForm(Form, frozen=True, kw_only=True):
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class LoggingForm(Form, frozen=True, kw_only=True):
    """The older way to say what `frontendPolicies.accessLog` says."""

    filter: str | None = None
    fields: LoggingFieldsForm = LoggingFieldsForm()
    level: str | None = None
    format: Literal["json"] | None = None


class MetricFieldsForm(Form, frozen=True, kw_only=True):
    add: dict[str, str] = {}


class MetricsForm(Form, frozen=True, kw_only=True):
    remove: tuple[str, ...] = ()
    fields: MetricFieldsForm = MetricFieldsForm()


class ConfigForm(Form, frozen=True, kw_only=True):
    model_catalog: str | CatalogSourceForm | tuple[CatalogSourceForm, ...] | None = None
    logging: LoggingForm | None = None
    metrics: MetricsForm | None = None


class DocumentForm(Form, frozen=True, kw_only=True):
    config: ConfigForm = ConfigForm()
    binds: tuple[BindForm, ...] = ()
    gateways: dict[str, GatewayForm] = {}
    routes: tuple[RouteForm, ...] = ()
    tcp_routes: tuple[TcpRouteForm, ...] = ()
    frontend_policies: FrontendForm = FrontendForm()
    backends: tuple[NamedBackendForm, ...] = ()
    llm: LlmForm | None = None
    rouse: RouseForm = RouseForm()
