"""The forms of backends: hosts, LLM providers, and wherever the request says."""

from typing import Literal

import msgspec

from gateway.egress.config.policy_forms import BackendPoliciesForm, TcpBackendPoliciesForm
from gateway.egress.config.shapes import Form


class ModelForm(Form, frozen=True, kw_only=True):
    model: str | None = None


class FormatForm(Form, frozen=True, kw_only=True):
    type: Literal["completions", "messages", "responses", "embeddings"]
    path: str | None = None


class CustomForm(Form, frozen=True, kw_only=True):
    model: str | None = None
    provider_override: str | None = None
    formats: tuple[FormatForm, ...]


class ProviderForm(Form, frozen=True, kw_only=True):
    open_ai: ModelForm | None = msgspec.field(default=None, name="openAI")
    anthropic: ModelForm | None = None
    custom: CustomForm | None = None


class NamedProviderForm(Form, frozen=True, kw_only=True):
    name: str
    provider: ProviderForm
    host_override: str | None = None
    path_override: str | None = None
    path_prefix: str | None = None
    tokenize: bool = False
    policies: BackendPoliciesForm = BackendPoliciesForm()


class GroupForm(Form, frozen=True, kw_only=True):
    providers: tuple[NamedProviderForm, ...]


class AiForm(Form, frozen=True, kw_only=True):
    """One provider, or groups of them: the next group is for when all of one are out."""

    name: str | None = None
    provider: ProviderForm | None = None
    host_override: str | None = None
    path_override: str | None = None
    path_prefix: str | None = None
    tokenize: bool = False
    policies: BackendPoliciesForm = BackendPoliciesForm()
    groups: tuple[GroupForm, ...] = ()


class DynamicForm(Form, frozen=True, kw_only=True):
    pass


class BackendForm(Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None
    dynamic: DynamicForm | None = None
    ai: AiForm | None = None
    weight: int = 1
    policies: BackendPoliciesForm = BackendPoliciesForm()


class NamedBackendForm(Form, frozen=True, kw_only=True):
    name: str
    host: str | None = None
    ai: AiForm | None = None
    policies: BackendPoliciesForm = BackendPoliciesForm()


class TcpBackendForm(Form, frozen=True, kw_only=True):
    host: str | None = None
    backend: str | None = None
    dynamic: DynamicForm | None = None
    weight: int = 1
    policies: TcpBackendPoliciesForm = TcpBackendPoliciesForm()
