"""The choice of a worker, rule by rule."""

from dataclasses import replace
from random import Random

import pytest

from placement.model import ActorId, ActorRecord, ActorState, WorkerRecord
from placement.scheduler import SILENT_MS, Choice, Why, choose

NOW = 1_000_000
ASLEEP = ActorRecord(
    actor=ActorId.of("demo", "c1"),
    uid="u",
    state=ActorState.SUSPENDED,
    epoch=3,
    revision=9,
    template="counter",
    snapshot="3-abc",
    worker="w1",
)


def worker(name: str, free: int = 4, **more: object) -> WorkerRecord:
    made = WorkerRecord(
        worker=name,
        incarnation="i",
        door="d",
        rpc="r",
        slots=8,
        free=free,
        runtimes=("process",),
        heartbeat_ms=NOW,
    )
    return replace(made, **more)  # type: ignore[arg-type]  # any field of the record


def pick(*workers: WorkerRecord, runtimes: tuple[str, ...] = (), seed: int = 1) -> Choice | None:
    return choose(ASLEEP, "demo/counter", runtimes, workers, now_ms=NOW, rng=Random(seed))


def test_last_worker_with_the_files_comes_before_all() -> None:
    last = worker("w1", 1)
    choice = pick(worker("w2", 8, warm=("demo/counter",)), last)
    assert choice == Choice(worker=last, why=Why.LOCAL)


def test_without_a_snapshot_its_last_worker_is_one_of_many() -> None:
    fresh = replace(ASLEEP, snapshot=None)
    workers = (worker("w1", 1), worker("w2", 8))
    choice = choose(fresh, "demo/counter", (), workers, now_ms=NOW, rng=Random(1))
    assert choice is not None and (choice.worker.worker, choice.why) == ("w2", Why.FREE)


def test_warm_template_comes_before_free_slots() -> None:
    warm = worker("w2", 1, warm=("demo/counter",))
    assert pick(worker("w4", 8), warm, worker("w3", 8)) == Choice(worker=warm, why=Why.WARM)


def test_of_two_the_freer_one_is_taken() -> None:
    for seed in range(20):
        choice = pick(worker("w3", 1), worker("w2", 5), seed=seed)
        assert choice is not None and choice.worker.worker == "w2"


def test_of_many_each_but_the_fullest_is_sometimes_taken() -> None:
    many = [worker(f"v{n}", n) for n in range(1, 6)]
    taken = {choice.worker.worker for seed in range(200) if (choice := pick(*many, seed=seed))}
    assert taken == {"v2", "v3", "v4", "v5"}


@pytest.mark.parametrize(
    "unfit",
    [
        {"free": 0},
        {"draining": True},
        {"runtimes": ("gvisor",)},
    ],
)
def test_full_draining_or_unsuitable_worker_is_never_chosen(unfit: dict[str, object]) -> None:
    last = worker("w1", **unfit)  # type: ignore[arg-type]
    other = worker("w2", 1)
    assert pick(last, other, runtimes=("process",)) == Choice(worker=other, why=Why.FREE)
    assert pick(last, runtimes=("process", "bubblewrap")) is None


def test_any_of_the_wanted_runtimes_will_do() -> None:
    choice = pick(worker("w1"), runtimes=("bubblewrap", "process"))
    assert choice is not None and choice.worker.worker == "w1"


def test_silent_worker_comes_last_but_not_never() -> None:
    silent = worker("w1", 8, heartbeat_ms=NOW - SILENT_MS - 1)
    heard = worker("w2", 1)
    assert pick(silent, heard) == Choice(worker=heard, why=Why.FREE)
    assert pick(silent) == Choice(worker=silent, why=Why.LOCAL)


def test_without_workers_there_is_no_choice() -> None:
    assert pick() is None
