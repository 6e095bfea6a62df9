"""What a template says, in plain values and base units: what host, reaper and drivers read.

`documents` makes these from the YAML a person writes; a Template has passed every check.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lifecycle.forms import PolicyDocument
from lifecycle.strict import convert
from runtimes.base import MEMORY_CLASSES, Resources


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Ready is a 2xx or 3xx answer to GET `path`, or with no path an accepted connection."""

    path: str | None = None
    port: str = ""
    """Name of a declared port; empty for the main one."""
    timeout_s: float = 20.0


class Template(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    digest: str
    """SHA-256 (hex) of the document's spec: two equal specs have equal digests."""
    runtime: str = "auto"
    """A RuntimeClass value, or `auto`."""
    requires: tuple[str, ...] = ()
    """Any of `full-snapshot`, `isolation`."""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Of the worker."""
    image: Path | None = None
    """An OCI layout on the worker's disk; None: the host's system."""
    command: tuple[str, ...]
    """Empty only with an image: what that says."""
    preload: tuple[str, ...] = ()
    """Modules that a parent on each worker has imported before an actor is forked from it."""
    working_dir: Path | None = None
    """In the image, where there is one."""
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    ports: Mapping[str, int]
    """Name -> number, the main one first; never empty."""
    readiness: Readiness = Readiness()
    durable: tuple[str, ...] = ()
    """Absolute paths inside the actor."""
    resources: Resources = Resources()
    freeze_after_s: float | None = 5.0
    """None: never."""
    suspend_after_s: float | None = 60.0
    """None: never."""
    checkpoint_every_s: float | None = None
    """None: only a suspend saves it."""
    wake_timeout_s: float = 30.0
    wake_queue: int = 256
    """Callers that may wait for one actor at once."""
    scope: str = "auto"
    """Of snapshots: `full`, `data`, or `auto`: as much as the runtime can."""
    fallback: str = "refuse"
    """When a snapshot's memory cannot go on where the actor is woken: `refuse`, or `data`, to start
    the program anew from its files."""
    golden: bool = False
    """New actors go on from a snapshot of the template just after it first became ready."""
    create_on_request: bool = False
    waiting_page: bool = False
    egress_policy: str = "default"
    """Name of the rules for what it sends out, in the worker's settings."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Classes one of which a worker must have; empty: any will do."""
        if self.runtime != "auto":
            return (self.runtime,)
        return tuple(sorted(MEMORY_CLASSES)) if "full-snapshot" in self.requires else ()

    @property
    def started_as(self) -> str:
        """Digest of what a program was told when it was started: in an image it knows no other."""
        told: tuple[object, ...] = (
            *(self.command, str(self.working_dir), self.env, self.ports, self.durable),
            *(() if self.image is None else (str(self.image),)),
        )
        return hashlib.blake2b(msgspec.json.encode(told), digest_size=8).hexdigest()

    def with_policy(self, policy: str | None) -> "Template":
        """As it holds for an actor with this policy (ActorRecord.policy). Raises NotUnderstood."""
        if policy is None:
            return self
        idle = convert(msgspec.json.decode(policy), PolicyDocument).idle
        freeze_s, suspend_s = self.freeze_after_s, self.suspend_after_s
        if idle == "never":
            freeze_s = suspend_s = None
        else:
            freeze_s = freeze_s if idle.freeze_after is None else idle.freeze_after.finite
            suspend_s = suspend_s if idle.suspend_after is None else idle.suspend_after.finite
        return msgspec.structs.replace(self, freeze_after_s=freeze_s, suspend_after_s=suspend_s)
