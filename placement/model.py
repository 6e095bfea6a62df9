"""The words of placement: ids, states, the table of transitions, the records. No I/O, no clock."""

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

# RFC 1123 section 2.1 by way of RFC 1035: a DNS label, lower case.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class InvalidName(ValueError):
    """A namespace or name that is not a DNS-1123 label; the message says which and why."""


def is_label(text: str) -> bool:
    return _LABEL.fullmatch(text) is not None


def check_label(text: str, what: str) -> str:
    """Return `text`, or raise InvalidName that says what `what` may look like."""
    if not is_label(text):
        raise InvalidName(
            f"{what} {text[:80]!r} is not a DNS-1123 label: 1 to 63 of a-z, 0-9 and '-', "
            "beginning and ending with a letter or digit"
        )
    return text


class ActorId(NamedTuple):
    """A durable identity, `namespace/name`. Make one from foreign text only by `parse` or `of`."""

    namespace: str
    name: str

    @classmethod
    def of(cls, namespace: str, name: str) -> "ActorId":
        return cls(check_label(namespace, "namespace"), check_label(name, "name"))

    @classmethod
    def parse(cls, text: str) -> "ActorId":
        namespace, slash, name = text.partition("/")
        if not slash:
            raise InvalidName(f"actor {text[:80]!r} is not of the form namespace/name")
        return cls.of(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ActorState(StrEnum):
    SUSPENDED = "SUSPENDED"
    WAKING = "WAKING"
    RUNNING = "RUNNING"
    SUSPENDING = "SUSPENDING"
    FAILED = "FAILED"


class Operation(StrEnum):
    CREATE = "create"
    CLAIM = "claim"
    TAKE_OVER = "take_over"
    READY = "ready"
    RELEASE = "release"
    CHECKPOINTED = "checkpointed"
    BEGIN_SUSPEND = "begin_suspend"
    ABORT_SUSPEND = "abort_suspend"
    COMMIT_SUSPEND = "commit_suspend"
    REASSERT = "reassert"
    RECOMMIT = "recommit"
    SET_POLICY = "set_policy"
    DELETE = "delete"


_S = ActorState
OWNED = frozenset({_S.WAKING, _S.RUNNING, _S.SUSPENDING})
"""States in which a worker owns the actor and may serve it or write about it."""

ALLOWED_FROM: dict[Operation, frozenset[ActorState]] = {
    Operation.CREATE: frozenset(),
    Operation.CLAIM: frozenset({_S.SUSPENDED, _S.FAILED}),
    Operation.TAKE_OVER: OWNED,
    Operation.READY: frozenset({_S.WAKING}),
    # From RUNNING and SUSPENDING too: a program that exits by itself, or a record that names a
    # worker which has no such sandbox, must become claimable without waiting for a lease to end.
    Operation.RELEASE: OWNED,
    Operation.CHECKPOINTED: frozenset({_S.RUNNING}),
    Operation.BEGIN_SUSPEND: frozenset({_S.RUNNING}),
    Operation.ABORT_SUSPEND: frozenset({_S.SUSPENDING}),
    Operation.COMMIT_SUSPEND: frozenset({_S.SUSPENDING}),
    # Whatever a forgetful record says: `histories.judge` looked at it, and at its revision.
    Operation.REASSERT: frozenset(_S),
    Operation.RECOMMIT: frozenset(_S),
    Operation.SET_POLICY: frozenset(_S),
    Operation.DELETE: frozenset({_S.SUSPENDED, _S.FAILED}),
}
"""The from-states of every operation. The Lua scripts get theirs from here as an argument."""

RESULT: dict[Operation, frozenset[ActorState]] = {
    Operation.CREATE: frozenset({_S.SUSPENDED}),
    Operation.CLAIM: frozenset({_S.WAKING}),
    Operation.TAKE_OVER: frozenset({_S.WAKING}),
    Operation.READY: frozenset({_S.RUNNING}),
    Operation.RELEASE: frozenset({_S.SUSPENDED, _S.FAILED}),
    Operation.CHECKPOINTED: frozenset({_S.RUNNING}),
    Operation.BEGIN_SUSPEND: frozenset({_S.SUSPENDING}),
    Operation.ABORT_SUSPEND: frozenset({_S.RUNNING}),
    Operation.COMMIT_SUSPEND: frozenset({_S.SUSPENDED}),
    Operation.REASSERT: frozenset({_S.WAKING}),
    Operation.RECOMMIT: frozenset({_S.SUSPENDED}),
    Operation.SET_POLICY: frozenset(_S),  # the state stays as it is
    Operation.DELETE: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorRecord:
    """What the table says of one actor, as of one read."""

    actor: ActorId
    uid: str
    """Made at create: a name deleted and made again is another actor."""
    state: ActorState
    epoch: int
    """Grows with every claim; a writer that shows a lower one is refused."""
    revision: int
    """Raised by every transition."""
    template: str
    """Name of the template, in the actor's own namespace."""
    snapshot: str | None = None
    """Id of the last promoted snapshot; None before the first suspend."""
    worker: str | None = None
    """The owner while the state is in OWNED, else the worker that had it last (a hint)."""
    incarnation: str | None = None
    """The owner's incarnation; None unless the state is in OWNED."""
    door: str | None = None
    """Where the owner's door listens, `host:port` or `unix:/path`; None unless owned."""
    deadline_ms: int | None = None
    """WAKING only: unix milliseconds by the store's clock after which another may take over."""
    failures: int = 0
    """Failed starts in a row."""
    retry_at_ms: int | None = None
    """FAILED only: unix milliseconds by the store's clock before which no claim is taken."""
    reason: str | None = None
    """Why it last left a worker otherwise than by a suspend: exit status, failed start."""
    policy: str | None = None
    """JSON of per-actor overrides (idle, egress); opaque here."""
    created_ms: int = 0
    """Unix milliseconds, to the second."""
    active_ms: int = 0
    """Unix milliseconds of its last activity, as of the last transition."""

    @property
    def is_owned(self) -> bool:
        return self.state in OWNED

    def fence(self) -> "Fence":
        """What the owner must show for its next write. Raises ValueError when nobody owns it."""
        if not self.is_owned or self.worker is None or self.incarnation is None:
            raise ValueError(f"{self.actor} is {self.state}: nobody owns it")
        return Fence(
            actor=self.actor,
            uid=self.uid,
            epoch=self.epoch,
            worker=self.worker,
            incarnation=self.incarnation,
            revision=self.revision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """What a worker shows with every write; anything stale in it refuses the write."""

    actor: ActorId
    uid: str
    epoch: int
    worker: str
    incarnation: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who claims: a worker in one incarnation, and where its door is."""

    worker: str
    incarnation: str
    door: str


class Outcome(StrEnum):
    """What a script answers. DONE is also what a repeat of the same call gets."""

    DONE = "done"
    NOT_FOUND = "not-found"
    EXISTS = "exists"
    HELD = "held"
    """Owned by a worker, so not claimable by a plain claim."""
    BACKING_OFF = "backing-off"
    """FAILED and its back-off has not ended; `retry_after_ms` says when."""
    STALE = "stale"
    """Uid, epoch, worker, incarnation or revision is not the record's: another owns it now."""
    WRONG_STATE = "wrong-state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An outcome and the record as it stands after (or instead of) the operation."""

    outcome: Outcome
    record: ActorRecord | None
    retry_after_ms: int = 0
    history: str = ""
    """Of claim, take_over, ready and reassert: the server's history, see `histories`."""

    @property
    def is_done(self) -> bool:
        return self.outcome is Outcome.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """When failed starts make an actor FAILED, and for how long."""

    threshold: int = 3
    base_ms: int = 2_000
    limit_ms: int = 300_000
    """Back-off after the n-th failure in a row: base * 2**(n - threshold), at most this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """What a worker says of itself at each heartbeat."""

    worker: str
    incarnation: str
    door: str
    rpc: str
    """Where its RPC listens, `host:port` or `unix:/path`."""
    slots: int
    free: int
    runtimes: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    warm: tuple[str, ...] = ()
    """Templates (`namespace/name`) that start faster here (zygote, unpacked root)."""
    draining: bool = False
    heartbeat_ms: int = 0
    histories: tuple[str, ...] = ()
    """Of the table, under which it has compared all that it runs (`histories`)."""
    meets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By runtime class, which of the things that templates may require it meets here."""
    auto: str = "auto"
    """The runtime class that a template's `auto` means here; `auto`: the strongest that will do."""
    idle_s: float | None = None
    """How long the actor that it would evict first was idle at this heartbeat; None: none may be
    evicted."""
    idle_by_tenant: dict[str, float] = field(default_factory=dict)
    """The same for each namespace with a quota, of its own actors; without those that have none."""


def new_uid() -> str:
    """64 random bits, as 16 hex digits: an actor's uid, an incarnation or the id of one call."""
    return secrets.token_hex(8)
