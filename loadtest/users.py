"""Locust's file: four kinds of callers and the waves they come in. They know HTTP and no more.

What they may expect of the counter example is checked in each answer: a wrong number is an error
like a wrong status. Run by `python -m loadtest`, which sets the variables read here.
"""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, LoadTestShape, between, events, task

from loadtest import samples

ADMIN = os.environ["ROUSE_LOAD_ADMIN"]
SAMPLES = Path(os.environ["ROUSE_LOAD_SAMPLES"])
SECONDS = float(os.environ["ROUSE_LOAD_SECONDS"])
USERS = int(os.environ["ROUSE_LOAD_USERS"])
HERD = int(os.environ["ROUSE_LOAD_HERD"])
NAMESPACE = os.environ["ROUSE_LOAD_NAMESPACE"]
DOMAIN = "actors.localhost"

_taken: list[samples.Sample] = []
_numbers = itertools.count(1)


# Locust's own functions carry no types, here and below.
@events.request.add_listener  # type: ignore[untyped-decorator]
def take(  # locust calls it with what it has, by name
    name: str, response_time: float, response: Any, exception: BaseException | None, **_: Any
) -> None:
    headers = getattr(response, "headers", None) or {}
    sample = samples.Sample.of(
        user=name,
        took_ms=response_time,
        rouse_wake=headers.get("Rouse-Wake") or "",
        error="" if exception is None else str(exception)[:200],
    )
    _taken.append(sample)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def write_samples(**_: Any) -> None:
    samples.write(SAMPLES, _taken)


class Caller(FastHttpUser):
    """One with an actor of his own, so that he knows what its counters must say."""

    abstract = True
    concurrency = HERD
    connection_timeout = 10.0
    network_timeout = 60.0

    def on_start(self) -> None:
        self.actor = f"{type(self).__name__.lower()}-{next(_numbers)}"
        self.ram = self.file = 0

    @contextmanager
    def answer(self, path: str, *, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The answer and what it tells; use `answer.failure` for what it should not have told."""
        host = f"{self.actor}.{NAMESPACE}.{DOMAIN}"
        with self.client.get(
            path, name=name, headers={"Host": host}, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}: {(answer.text or '')[:150]}")
                yield answer, {}
                return
            told = json.loads(answer.text)
            if told["actor"] != f"{NAMESPACE}/{self.actor}":
                answer.failure(f"the answer of {told['actor']} came to a caller of {self.actor}")
            yield answer, told

    def count(self, *, name: str) -> str:
        """Raise both counters and check them; the kind of wake that was told."""
        with self.answer("/", name=name) as (answer, told):
            if not told:
                return ""
            if told["file"] != self.file + 1:
                answer.failure(f"file counter {told['file']} after {self.file}")
            if told["ram"] not in (1, self.ram + 1):
                answer.failure(f"counter in memory {told['ram']} after {self.ram}")
            self.ram, self.file = told["ram"], told["file"]
            return (answer.headers.get("Rouse-Wake") or "").partition(";")[0]

    def suspend(self) -> None:
        path = f"{ADMIN}/v1/namespaces/{NAMESPACE}/actors/{self.actor}/suspend"
        with self.client.post(
            path, json={"wait": "10s"}, name="suspend", catch_response=True
        ) as answer:
            if answer.status_code >= 300:
                answer.failure(f"status {answer.status_code}: {(answer.text or '')[:150]}")


class Warm(Caller):
    """Calls an actor that is awake, again and again."""

    fixed_count = max(1, USERS // 4)
    # A pause, so that the waves measure wakes and not how two processes share two cores.
    wait_time = between(0.005, 0.02)

    @task
    def peek(self) -> None:
        with self.answer("/peek", name="warm"):
            pass


class Cold(Caller):
    """Calls an actor that was suspended the moment before."""

    fixed_count = max(1, USERS // 4)
    wait_time = between(0.05, 0.3)

    def on_start(self) -> None:
        super().on_start()
        self.count(name="first")

    @task
    def wake(self) -> None:
        self.suspend()
        with self.answer("/", name="cold") as (answer, told):
            if told and not (answer.headers.get("Rouse-Wake") or "").startswith("cold;"):
                answer.failure("it was suspended, but no cold wake was told")
            if told and told["file"] != self.file + 1:
                answer.failure(f"file counter {told['file']} after {self.file}")
            self.file = told.get("file", self.file)


class Herd(Caller):
    """Many callers at once on one sleeping actor: one wake, and an answer for each (A23)."""

    fixed_count = 1
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        super().on_start()
        self.count(name="first")

    @task
    def stampede(self) -> None:
        self.suspend()
        seen: dict[int, int] = {}
        gevent.joinall([gevent.spawn(self._call, seen) for _ in range(HERD)])
        self.file += HERD

    def _call(self, seen: dict[int, int]) -> None:
        with self.answer("/", name="herd") as (answer, told):
            if not told:
                return
            file, ram = told["file"], told["ram"]
            if file in seen or not self.file < file <= self.file + HERD:
                answer.failure(f"file counter {file} in a herd from {self.file}")
            # One copy raises both counters together; a second one has a memory of its own.
            if seen and file - ram not in seen.values():
                answer.failure(f"two copies: counters {ram} and {file} do not go together")
            seen[file] = file - ram


class Return(Caller):
    """Comes back after a pause in which the actor was frozen, or suspended, or is just being."""

    wait_time = between(1.1, 3.4)

    @task
    def come_back(self) -> None:
        self.count(name="return")


class Waves(LoadTestShape):
    """A rise, a crowd, a lull, and the crowd again."""

    use_common_options = False
    stages = ((0.15, 0.5), (0.55, 1.0), (0.7, 0.4), (1.0, 1.0))
    """Until which part of the time, which part of the users."""

    def tick(self) -> tuple[int, float] | None:
        part = self.get_run_time() / SECONDS  # type: ignore[no-untyped-call]
        for until, share in self.stages:
            if part < until:
                return max(4, round(USERS * share)), USERS
        return None
