"""The form of what is ours alone in a document: `rouse`, for which agentgateway has no words."""

from typing import Literal

import msgspec

from gateway.egress.config.policy_forms import RuleForm
from gateway.egress.config.shapes import Form, LocationForm, Secret
from lifecycle.quantities import Duration


class HttpSourceForm(Form, frozen=True, kw_only=True):
    url: str
    headers: dict[str, Secret] = {}
    field: str | None = None
    """Of a JSON answer: `data.token`. None: the answer is the secret."""


class OAuthForm(Form, frozen=True, kw_only=True):
    token_url: str
    client_id: str
    client_secret: Secret
    scopes: tuple[str, ...] = ()


class AwsForm(Form, frozen=True, kw_only=True):
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    service: str
    region: str


class BasicForm(Form, frozen=True, kw_only=True):
    username: str


class SourceForm(Form, frozen=True, kw_only=True):
    file: str | None = None
    env: str | None = None
    command: tuple[str, ...] | None = None
    http: HttpSourceForm | None = None
    oauth2: OAuthForm | None = None
    ttl: Duration = msgspec.field(default_factory=lambda: Duration(300))


class OurCredentialForm(Form, frozen=True, kw_only=True, rename={"source": "from", "when": "for"}):
    name: str
    hosts: tuple[str, ...]
    source: SourceForm | None = None
    when: str | None = None
    """CEL over `actor` and `request`: for whom."""
    placeholder: str | None = None
    """Put in where the actor wrote this; without: put in always, at `location`."""
    location: LocationForm | None = None
    basic: BasicForm | None = None
    aws: AwsForm | None = None
    plain_http: bool = msgspec.field(default=False, name="plainHttp")


class LimitForm(Form, frozen=True, kw_only=True):
    unit: Literal["USD", "Tokens", "Requests"]
    amount: float


class WindowForm(Form, frozen=True, kw_only=True):
    rolling: Duration


class BudgetForm(Form, frozen=True, kw_only=True):
    name: str
    limit: LimitForm
    window: WindowForm
    on_budget_exceeded: Literal["Block", "Audit"] = "Block"
    per: Literal["actor", "namespace"] = "actor"
    when: str | None = msgspec.field(default=None, name="for")


class ActorsForm(Form, frozen=True, kw_only=True):
    """Calls to other actors; the default is one's own namespace."""

    rules: tuple[str | RuleForm, ...] = ()


class RouseForm(Form, frozen=True, kw_only=True):
    private_addresses: tuple[str, ...] = ()
    """Networks (or addresses) of private, loopback or link-local kind that may be reached."""
    credentials: tuple[OurCredentialForm, ...] = ()
    budgets: tuple[BudgetForm, ...] = ()
    actors: ActorsForm | None = None
