"""The form of `llm`, agentgateway's short way to say which models there are and who has them."""

from typing import Any

import msgspec

from gateway.egress.config.backend_forms import CustomForm
from gateway.egress.config.policy_forms import (
    ApiKeysForm,
    AuthorizationForm,
    BackendAuthForm,
    BackendTlsForm,
    BasicAuthForm,
    CorsForm,
    HeadersForm,
    JwtAuthForm,
    RateForm,
    TransformationsForm,
    TunnelForm,
)
from gateway.egress.config.shapes import Form, NamedForm, Secret


class ParamsForm(Form, frozen=True, kw_only=True):
    model: str | None = None
    api_key: Secret | None = None
    base_url: str | None = None
    host_override: str | None = None
    path_override: str | None = None
    path_prefix: str | None = None
    tokenize: bool = False


class LlmKindForm(Form, frozen=True, kw_only=True):
    custom: CustomForm | None = None
    reference: str | None = None


class SharedForm(Form, frozen=True, kw_only=True):
    """What a model may say, and a provider for all models that refer to it."""

    defaults: dict[str, Any] = {}  # JSON of a request's body
    overrides: dict[str, Any] = {}  # the same
    transformation: dict[str, str] = {}
    request_headers: HeadersForm | None = None
    response_headers: HeadersForm | None = None
    backend_tls: BackendTlsForm | None = msgspec.field(default=None, name="backendTLS")
    tls: BackendTlsForm | None = None
    auth: BackendAuthForm | None = None
    backend_tunnel: TunnelForm | None = None


class LlmProviderForm(Form, frozen=True, kw_only=True):
    name: str
    provider: str | LlmKindForm
    params: ParamsForm = ParamsForm()
    defaults: SharedForm = SharedForm()


class LlmMatchForm(Form, frozen=True, kw_only=True):
    headers: tuple[NamedForm, ...] = ()


class LlmModelForm(SharedForm, frozen=True, kw_only=True):
    name: str
    provider: str | LlmKindForm
    params: ParamsForm = ParamsForm()
    matches: tuple[LlmMatchForm, ...] = ()
    authorization: AuthorizationForm | None = None


class LlmPoliciesForm(Form, frozen=True, kw_only=True):
    cors: CorsForm | None = None
    jwt_auth: JwtAuthForm | None = None
    basic_auth: BasicAuthForm | None = None
    api_key: ApiKeysForm | None = None
    authorization: AuthorizationForm | None = None
    transformations: TransformationsForm | None = None
    local_rate_limit: tuple[RateForm, ...] = ()


class LlmForm(Form, frozen=True, kw_only=True):
    gateways: str | tuple[str, ...] = ()
    port: int | None = None
    providers: tuple[LlmProviderForm, ...] = ()
    models: tuple[LlmModelForm, ...]
    policies: LlmPoliciesForm = LlmPoliciesForm()
