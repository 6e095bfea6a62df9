"""Where to wake an actor: a choice among workers from what they last said. No I/O, no clock."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from placement.model import ActorRecord, WorkerRecord

SILENT_MS = 60_000
"""A worker not heard of for this long comes last. A preference and no verdict: heartbeats carry
the worker's own clock."""


class Why(StrEnum):
    LOCAL = "local"
    """It had the actor last and so probably has the snapshot's files."""
    WARM = "warm"
    """The template starts faster there."""
    FREE = "free"
    """The freer one of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    worker: WorkerRecord
    why: Why


def choose(
    record: ActorRecord,
    template_key: str,
    requires_runtimes: Collection[str],
    workers: Iterable[WorkerRecord],
    *,
    now_ms: int,
    rng: Random,
) -> Choice | None:
    """The worker to ask first; None when none may be asked. One that is draining, full, or has
    none of `requires_runtimes` (empty: any will do) never is."""
    able = [worker for worker in workers if can_take(worker, requires_runtimes)]
    heard = [worker for worker in able if now_ms - worker.heartbeat_ms <= SILENT_MS]
    able = heard or able
    for worker in able:
        if has_local(worker, record):
            return Choice(worker=worker, why=Why.LOCAL)
    warm = [worker for worker in able if template_key in worker.warm]
    if warm:
        return Choice(worker=_freer_of_two(warm, rng), why=Why.WARM)
    return Choice(worker=_freer_of_two(able, rng), why=Why.FREE) if able else None


def can_take(worker: WorkerRecord, requires_runtimes: Collection[str]) -> bool:
    if worker.draining or worker.free <= 0:
        return False
    return not requires_runtimes or any(kind in worker.runtimes for kind in requires_runtimes)


def has_local(worker: WorkerRecord, record: ActorRecord) -> bool:
    # Its last worker keeps the files of its snapshot for a while. A hint: where they were dropped
    # since, the wake fetches them; a list of them all in each heartbeat would cost more than that.
    return record.worker == worker.worker and record.snapshot is not None


def _freer_of_two(workers: list[WorkerRecord], rng: Random) -> WorkerRecord:
    # Of two at random, not of all: every gateway sees the same stale counts, and the one best
    # worker would be sent everything until its next heartbeat.
    pair = rng.sample(workers, min(2, len(workers)))
    return max(pair, key=lambda worker: worker.free)
