"""The shape of documents: what may be written in them, under which names. Checks are elsewhere.

`documents` reads these and checks what a shape cannot say; OpenAPI is made from them too.
"""

from typing import Any, Literal

import msgspec

from lifecycle import quantities
from lifecycle.quantities import Cores, Duration, Size

API_VERSION = "rouse.dev/v1alpha1"


class _Form(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
):
    """Every part of a document: camelCase outside, nothing unknown, defaults left out."""


class Metadata(_Form, frozen=True, kw_only=True):
    namespace: str = "default"
    name: str


class RuntimeForm(_Form, frozen=True, kw_only=True, rename={"class_": "class"}):
    class_: Literal["auto", "process", "bubblewrap", "gvisor", "microvm"] = "auto"
    requires: tuple[Literal["full-snapshot", "isolation"], ...] = ()
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """Only on workers that have all of these labels, with these values."""


class EnvForm(_Form, frozen=True, kw_only=True):
    name: str
    value: str


class PortForm(_Form, frozen=True, kw_only=True):
    name: str
    port: int


class HttpGetForm(_Form, frozen=True, kw_only=True):
    path: str
    port: str | int = ""


class TcpSocketForm(_Form, frozen=True, kw_only=True):
    port: str | int = ""


class ReadinessForm(_Form, frozen=True, kw_only=True):
    http_get: HttpGetForm | None = None
    tcp_socket: TcpSocketForm | None = None
    timeout: Duration = msgspec.field(default_factory=lambda: Duration(20))


class ResourcesForm(_Form, frozen=True, kw_only=True):
    memory: Size | None = None
    cpu: Cores | None = None
    pids: int | None = None


class IdleForm(_Form, frozen=True, kw_only=True):
    # Times are always written out: a stored template must not change with our defaults.
    freeze_after: Duration = msgspec.field(default_factory=lambda: Duration(5))
    suspend_after: Duration = msgspec.field(default_factory=lambda: Duration(60))


class WakeForm(_Form, frozen=True, kw_only=True):
    timeout: Duration = msgspec.field(default_factory=lambda: Duration(30))
    queue: int = 256
    waiting_page: bool = False
    """Show a browser a small page that reloads itself while the actor wakes."""


class SnapshotForm(_Form, frozen=True, kw_only=True):
    scope: Literal["auto", "data", "full"] = "auto"
    fallback: Literal["refuse", "data"] = "refuse"
    """When the memory of a snapshot cannot go on: `data` starts the program anew from its files."""
    golden: bool = False
    """New actors go on from a snapshot that was made when the template first became ready."""
    every: Duration = msgspec.field(default_factory=lambda: Duration(0))
    """0s: only when the actor is suspended."""


class CreateForm(_Form, frozen=True, kw_only=True):
    on_request: bool = False


class EgressForm(_Form, frozen=True, kw_only=True):
    policy: str = "default"


class Spec(_Form, frozen=True, kw_only=True):
    runtime: RuntimeForm = RuntimeForm()
    image: str | None = None
    """An OCI layout on the workers' disks, a directory or a tar: its root is the program's system.
    Then `command`, `workingDir` and `env` are what differs from the image's own."""
    command: tuple[str, ...] | None = None
    preload: tuple[str, ...] = ()
    """Python modules that a parent imports once, from which actors are forked."""
    working_dir: str | None = None
    env: tuple[EnvForm, ...] = ()
    ports: tuple[PortForm, ...] = (PortForm(name="http", port=8080),)
    readiness: ReadinessForm = msgspec.field(default_factory=ReadinessForm)
    durable: tuple[str, ...] = ()
    resources: ResourcesForm = ResourcesForm()
    idle: IdleForm | Literal["never"] = msgspec.field(default_factory=IdleForm)
    wake: WakeForm = msgspec.field(default_factory=WakeForm)
    snapshot: SnapshotForm = msgspec.field(default_factory=SnapshotForm)
    create: CreateForm = CreateForm()
    egress: EgressForm = EgressForm()


class TemplateDocument(_Form, frozen=True, kw_only=True):
    api_version: Literal["rouse.dev/v1alpha1"]
    kind: Literal["ActorTemplate"]
    metadata: Metadata
    spec: Spec


class QuotaForm(_Form, frozen=True, kw_only=True):
    running: int | None = None
    """Actors that may run (or be waking) at once in the whole cluster; left out: any number."""


class NamespaceSpec(_Form, frozen=True, kw_only=True):
    quota: QuotaForm = QuotaForm()


class NamespaceMetadata(_Form, frozen=True, kw_only=True):
    name: str


class NamespaceDocument(_Form, frozen=True, kw_only=True):
    api_version: Literal["rouse.dev/v1alpha1"]
    kind: Literal["Namespace"]
    metadata: NamespaceMetadata
    spec: NamespaceSpec = NamespaceSpec()


class PolicyIdle(_Form, frozen=True, kw_only=True):
    freeze_after: Duration | None = None
    suspend_after: Duration | None = None


class PolicyDocument(_Form, frozen=True, kw_only=True):
    """What one actor has otherwise than its template says; what is left out stays."""

    idle: PolicyIdle | Literal["never"] = PolicyIdle()


def schema_components(*kinds: type) -> Any:  # JSON Schema: a tree of whatever JSON has
    """JSON Schemas of document structs, for OpenAPI: (references, components)."""
    return msgspec.json.schema_components(
        kinds, schema_hook=quantities.schema, ref_template="#/components/schemas/{name}"
    )
