"""Where to wake an actor: a choice among workers from what they last said. No I/O, no clock."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from placement.model import ActorRecord, WorkerRecord

SILENT_MS = 60_000
"""A worker not heard of for this long comes last. A preference and no verdict: heartbeats carry
the worker's own clock."""
_SPARE = 0.125
"""A warm worker with a smaller part of its slots free is no better than any other: all actors of
one template would else be on the one worker that had the first."""


class Why(StrEnum):
    LOCAL = "local"
    """It had the actor last and so probably has the snapshot's files."""
    WARM = "warm"
    """The template starts faster there."""
    FREE = "free"
    """The less used one of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a template asks of a worker; by default nothing."""

    template: str = ""
    """Its key, `namespace/name`."""
    runtime: str = "auto"
    """A runtime class; `auto`: whatever the worker makes of it."""
    requires: Collection[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """The worker must have all of these, with these values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    worker: WorkerRecord
    why: Why
    able: int
    """Workers that could have taken it, this one too."""

    def __str__(self) -> str:
        return f"{self.why} of {self.able}"


def choose(
    record: ActorRecord,
    wanted: Wanted,
    workers: Iterable[WorkerRecord],
    *,
    now_ms: int,
    rng: Random,
) -> Choice | None:
    """The worker to ask first; None when none may be asked. One that is draining, full or lacks
    anything that is wanted never is."""
    able = [worker for worker in workers if can_take(worker, wanted)]
    able = [worker for worker in able if now_ms - worker.heartbeat_ms <= SILENT_MS] or able
    for worker in able:
        if has_local(worker, record):
            return Choice(worker=worker, why=Why.LOCAL, able=len(able))
    warm = [w for w in able if wanted.template in w.warm and w.free > w.slots * _SPARE]
    if warm:
        return Choice(worker=_less_used_of_two(warm, rng), why=Why.WARM, able=len(able))
    if not able:
        return None
    return Choice(worker=_less_used_of_two(able, rng), why=Why.FREE, able=len(able))


def can_take(worker: WorkerRecord, wanted: Wanted) -> bool:
    return not worker.draining and worker.free > 0 and lacks(worker, wanted) is None


def lacks(worker: WorkerRecord, wanted: Wanted) -> str | None:
    """What this worker will not have, however long one waits; None: it could run the actor."""
    for label, value in wanted.labels.items():
        if worker.labels.get(label) != value:
            return f"label {label}={value}"
    if wanted.runtime != "auto":
        classes: Collection[str] = (wanted.runtime,)
    elif worker.auto != "auto":
        classes = (worker.auto,)
    else:
        classes = worker.runtimes
    classes = [each for each in classes if each in worker.runtimes]
    if not classes:
        return f"runtime {wanted.runtime}"
    # All of it by one class; a worker that does not say what its classes meet meets nothing.
    met = [each for each in classes if set(wanted.requires) <= set(worker.meets.get(each, ()))]
    return None if met else "+".join(sorted(wanted.requires))


def to_make_room(workers: Iterable[WorkerRecord], wanted: Wanted) -> list[WorkerRecord]:
    """Of the workers that could run it but are full: whose idlest actor was idle for longest comes
    first (A40), by what each last said; those with none to evict last."""
    able = [w for w in workers if not w.draining and lacks(w, wanted) is None]
    return sorted(able, key=lambda w: -1.0 if w.idle_s is None else w.idle_s, reverse=True)


def has_local(worker: WorkerRecord, record: ActorRecord) -> bool:
    # Its last worker keeps the files of its snapshot for a while. A hint: where they were dropped
    # since, the wake fetches them; a list of them all in each heartbeat would cost more than that.
    return record.worker == worker.worker and record.snapshot is not None


def _less_used_of_two(workers: list[WorkerRecord], rng: Random) -> WorkerRecord:
    # Of two at random, not of all: every gateway sees the same stale counts, and the one best
    # worker would be sent everything until its next heartbeat.
    pair = rng.sample(workers, min(2, len(workers)))
    return max(pair, key=lambda worker: worker.free / max(worker.slots, 1))
