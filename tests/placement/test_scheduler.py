"""The choice of a worker, rule by rule."""

from dataclasses import replace
from random import Random

import pytest

from placement.model import ActorId, ActorRecord, ActorState, WorkerRecord
from placement.scheduler import SILENT_MS, Choice, Wanted, Why, choose, lacks, to_make_room

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
        meets={"process": ()},
        heartbeat_ms=NOW,
    )
    return replace(made, **more)  # type: ignore[arg-type]  # any field of the record


COUNTER = Wanted(template="demo/counter")
BOTH = {"process": (), "bubblewrap": ("isolation",)}


def pick(*workers: WorkerRecord, wanted: Wanted = COUNTER, seed: int = 1) -> Choice | None:
    return choose(ASLEEP, wanted, workers, now_ms=NOW, rng=Random(seed))


def test_last_worker_with_the_files_comes_before_all() -> None:
    last = worker("w1", 1)
    choice = pick(worker("w2", 8, warm=("demo/counter",)), last)
    assert choice == Choice(worker=last, why=Why.LOCAL, able=2)


def test_without_a_snapshot_its_last_worker_is_one_of_many() -> None:
    fresh = replace(ASLEEP, snapshot=None)
    workers = (worker("w1", 1), worker("w2", 8))
    choice = choose(fresh, COUNTER, workers, now_ms=NOW, rng=Random(1))
    assert choice is not None and (choice.worker.worker, choice.why) == ("w2", Why.FREE)


def test_warm_template_comes_before_free_slots() -> None:
    warm = worker("w2", 2, warm=("demo/counter",))
    choice = pick(worker("w4", 8), warm, worker("w3", 8))
    assert choice == Choice(worker=warm, why=Why.WARM, able=3) and str(choice) == "warm of 3"


def test_a_warm_worker_that_is_nearly_full_is_one_of_many() -> None:
    """Else all actors of a template would be where the first one was."""
    warm = worker("w2", 1, warm=("demo/counter",))
    choice = pick(warm, worker("w3", 8))
    assert choice is not None and (choice.worker.worker, choice.why) == ("w3", Why.FREE)


def test_a_small_worker_that_is_empty_comes_before_a_large_one_that_is_nearly_full() -> None:
    small, large = worker("w2", 4, slots=4), worker("w3", 10, slots=100)
    for seed in range(20):
        choice = pick(small, large, seed=seed)
        assert choice is not None and choice.worker == small


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
        {"labels": {}},
        {"labels": {"zone": "b"}},
    ],
)
def test_full_draining_or_unsuitable_worker_is_never_chosen(unfit: dict[str, object]) -> None:
    last = worker("w1", **{"labels": {"zone": "a"}} | unfit)  # type: ignore[arg-type]
    other = worker("w2", 1, labels={"zone": "a", "disk": "ssd"})
    wanted = Wanted(runtime="process", labels={"zone": "a"})
    assert pick(last, other, wanted=wanted) == Choice(worker=other, why=Why.FREE, able=1)
    assert pick(last, wanted=wanted) is None


@pytest.mark.parametrize(
    ("wanted", "given", "what"),
    [
        (Wanted(), {}, None),
        (Wanted(runtime="process"), {}, None),
        (Wanted(runtime="bubblewrap"), {}, "runtime bubblewrap"),
        (Wanted(requires=("isolation",)), {}, "isolation"),
        (Wanted(requires=("isolation",)), {"runtimes": tuple(BOTH), "meets": BOTH}, None),
        # Its own `auto` is a class that meets less than another it has.
        (
            Wanted(requires=("isolation",)),
            {"runtimes": tuple(BOTH), "meets": BOTH, "auto": "process"},
            "isolation",
        ),
        (
            Wanted(runtime="process", requires=("isolation",)),
            {"runtimes": tuple(BOTH), "meets": BOTH},
            "isolation",
        ),
        # One class must have all of it; two that have half each do not add up.
        (
            Wanted(requires=("isolation", "full-snapshot")),
            {"runtimes": ("a", "b"), "meets": {"a": ("isolation",), "b": ("full-snapshot",)}},
            "full-snapshot+isolation",
        ),
        (Wanted(requires=("isolation",)), {"meets": {}}, "isolation"),
        (Wanted(labels={"gpu": "yes"}), {}, "label gpu=yes"),
    ],
)
def test_what_a_worker_lacks_is_said_by_name(
    wanted: Wanted, given: dict[str, object], what: str | None
) -> None:
    assert lacks(worker("w1", **given), wanted) == what  # type: ignore[arg-type]


def test_whose_idlest_actor_slept_longest_makes_room_first() -> None:
    workers = [
        worker("w1", 0, idle_s=5.0),
        worker("w2", 0, idle_s=None),
        worker("w3", 0, idle_s=500.0),
        worker("w4", 0, idle_s=900.0, draining=True),
        worker("w5", 0, idle_s=900.0, runtimes=()),
    ]
    assert [w.worker for w in to_make_room(workers, COUNTER)] == ["w3", "w1", "w2"]


def test_silent_worker_comes_last_but_not_never() -> None:
    silent = worker("w1", 8, heartbeat_ms=NOW - SILENT_MS - 1)
    heard = worker("w2", 1)
    assert pick(silent, heard) == Choice(worker=heard, why=Why.FREE, able=1)
    assert pick(silent) == Choice(worker=silent, why=Why.LOCAL, able=1)


def test_without_workers_there_is_no_choice() -> None:
    assert pick() is None
