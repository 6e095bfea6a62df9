"""Resources: what the control API takes and gives, as records that OpenAPI is made from too."""

import datetime
from typing import Any, Literal

import msgspec

from lifecycle import bulk, rebuilding
from lifecycle.messages import Here, Phases, Resident
from lifecycle.namespace_actions import NamespaceStanding
from lifecycle.quantities import Duration
from placement.catalog import TemplateRecord
from placement.model import ActorId, ActorRecord, ActorState, WorkerRecord

_Result = Literal["created", "deleted", "exists", "absent", "failed"]


class _Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes in: nothing unknown."""


class CreateActor(_Ask, frozen=True, kw_only=True):
    name: str
    template: str


class CreateActors(_Ask, frozen=True, kw_only=True):
    namespace: str
    template: str
    names: list[str]


class DeleteActors(_Ask, frozen=True, kw_only=True):
    actors: list[str]
    """Each `namespace/name`."""


class Wake(_Ask, frozen=True, kw_only=True):
    wait: Duration = msgspec.field(default_factory=lambda: Duration(30))
    """How long to wait; the wake itself goes on."""


class Fork(_Ask, frozen=True, kw_only=True):
    name: str
    """Of the new actor, in the same namespace."""
    namespace: str | None = None
    """Another one is refused: snapshots are sealed with keys of their namespace."""


class Suspend(_Ask, frozen=True, kw_only=True):
    wait: Duration = msgspec.field(default_factory=lambda: Duration(0))
    """How long open requests may take to end before the answer is busy."""
    force: bool = False
    """Cut what is still open after the wait."""


class MintToken(_Ask, frozen=True, kw_only=True):
    expires: Duration = msgspec.field(default_factory=lambda: Duration(3600))
    """How long the token opens the actor."""


class ListTemplates(_Ask, frozen=True, kw_only=True):
    namespace: str | None = None


class DeleteTemplate(_Ask, frozen=True, kw_only=True):
    force: bool = False


class ListActors(_Ask, frozen=True, kw_only=True):
    namespace: str | None = None
    state: ActorState | None = None
    template: str | None = None
    worker: str | None = None
    idle: Duration | None = None
    """Only those whose last activity is longer ago than this."""
    cursor: str | None = None
    """`next` of the page before."""
    limit: int = 100


class Rebuild(_Ask, frozen=True, kw_only=True):
    namespace: str | None = None


class Logs(_Ask, frozen=True, kw_only=True):
    tail: int = 200
    """Lines."""


class ActorToken(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    token: str
    expires: datetime.datetime

    @classmethod
    def of(cls, actor: ActorId, token: str, expires: int) -> "ActorToken":
        return cls(
            namespace=actor.namespace,
            name=actor.name,
            token=token,
            expires=datetime.datetime.fromtimestamp(expires, datetime.UTC),
        )


class Residence(msgspec.Struct, frozen=True, kw_only=True):
    """A running actor as its worker sees it now."""

    state: str
    """`waking`, `running`, `frozen` or `suspending`."""
    runtime: str
    tickets: int
    """Open requests and streams."""
    idle: float
    """Seconds."""
    pid: int | None
    memory: int
    """Bytes."""
    chosen: str
    """Why it was woken on this worker: `local of 3` is where it was last, of three that could."""

    @classmethod
    def of(cls, resident: Resident) -> "Residence":
        return cls(
            state=resident.state,
            runtime=resident.runtime,
            tickets=resident.tickets,
            idle=round(resident.idle_s, 3),
            pid=resident.pid,
            memory=resident.memory_bytes,
            chosen=resident.chosen,
        )


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    began: bool
    """This call began the wake; else it joined one, or the actor was running."""
    phases: Phases
    """Milliseconds."""

    @classmethod
    def of(cls, here: Here) -> "Woken":
        measured = msgspec.structs.asdict(here.phases)
        rounded = {name: round(took, 1) for name, took in measured.items()}
        return cls(began=here.began, phases=Phases(**rounded))


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    uid: str
    state: ActorState
    epoch: int
    revision: int
    worker: str | None
    """The owner while it runs, else the worker that had it last."""
    snapshot: str | None
    template: str
    reason: str | None
    """Why it last left a worker otherwise than by a suspend."""
    failures: int
    """Failed starts in a row."""
    created: str
    active: str | None
    """Last activity, as of the last change of state."""
    policy: dict[str, Any] | None
    residence: Residence | None = None
    """Only of one actor asked for by name, and only while a worker has it."""
    wake: Woken | msgspec.UnsetType = msgspec.UNSET
    """Only in the answer to a wake."""

    @classmethod
    def of(
        cls, record: ActorRecord, *, resident: Resident | None = None, here: Here | None = None
    ) -> "Actor":
        return cls(
            namespace=record.actor.namespace,
            name=record.actor.name,
            uid=record.uid,
            state=record.state,
            epoch=record.epoch,
            revision=record.revision,
            worker=record.worker,
            snapshot=record.snapshot,
            template=record.template,
            reason=record.reason,
            failures=record.failures,
            created=_instant(record.created_ms) or "",
            active=_instant(record.active_ms),
            policy=None if record.policy is None else msgspec.json.decode(record.policy),
            residence=None if resident is None else Residence.of(resident),
            wake=msgspec.UNSET if here is None else Woken.of(here),
        )


class Actors(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Actor]
    next: str | None
    """Cursor of the next page; null at the end."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    result: _Result
    message: str
    """Why it failed."""

    @classmethod
    def of(cls, ended: bulk.Ended) -> "Ended":
        return cls(
            namespace=ended.actor.namespace,
            name=ended.actor.name,
            result=msgspec.convert(ended.result, _Result),
            message=ended.message,
        )


class AllEnded(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Ended]
    """In the order asked."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    rebuilt: int
    present: int
    """Had a record, and were left alone."""
    older: int
    """Of a name that a later actor has."""
    unreadable: int
    """Their newest snapshot cannot be read: the log names them."""

    @classmethod
    def of(cls, done: rebuilding.Rebuilt) -> "Rebuilt":
        return cls(
            rebuilt=done.rebuilt,
            present=done.present,
            older=done.older,
            unreadable=done.unreadable,
        )


class Template(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    digest: str
    document: dict[str, Any]
    """As it would be written: apply it elsewhere and get the same."""
    applied: Literal["created", "changed", "unchanged"] | msgspec.UnsetType = msgspec.UNSET
    """Only in the answer to an apply."""

    @classmethod
    def of(
        cls,
        record: TemplateRecord,
        applied: Literal["created", "changed", "unchanged"] | msgspec.UnsetType = msgspec.UNSET,
    ) -> "Template":
        return cls(
            namespace=record.namespace,
            name=record.name,
            digest=record.digest,
            document=msgspec.json.decode(record.body),
            applied=applied,
        )


class Templates(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Template]


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    running: int
    """Actors that may run at once."""


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    quota: Quota | None
    running: int | None
    """Actors that run or wake now; counted only where there is a quota."""

    @classmethod
    def of(cls, standing: NamespaceStanding) -> "Namespace":
        return cls(
            name=standing.name,
            quota=None if standing.quota is None else Quota(running=standing.quota),
            running=standing.running,
        )


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Namespace]


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    incarnation: str
    door: str
    rpc: str
    slots: int
    free: int
    runtimes: list[str]
    labels: dict[str, str]
    draining: bool
    heartbeat: str | None

    @classmethod
    def of(cls, record: WorkerRecord) -> "Worker":
        return cls(
            id=record.worker,
            incarnation=record.incarnation,
            door=record.door,
            rpc=record.rpc,
            slots=record.slots,
            free=record.free,
            runtimes=list(record.runtimes),
            labels=record.labels,
            draining=record.draining,
            heartbeat=_instant(record.heartbeat_ms),
        )


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Worker]


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    drained: bool


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    """The HTTP status."""
    reason: str
    """For programs: stays the same when the message is worded better."""
    message: str
    actor: str | None
    request_id: str


class FaultAnswer(msgspec.Struct, frozen=True, kw_only=True):
    error: Fault


def _instant(unix_ms: int) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if not unix_ms:
        return None
    instant = datetime.datetime.fromtimestamp(unix_ms / 1000, datetime.UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
