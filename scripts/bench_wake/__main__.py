"""`make bench-wake`: from the request to the first byte of its answer, by class and phase.

`rouse up` with a real S3 server, one caller, one actor at a time, on the same cores. From the
store: nothing of the actor is left on the worker. From the cache: what the worker kept of it.
Plain: its first start. Phases are those that the product tells (`Rouse-Wake`), in milliseconds.
"""

import argparse
import http.client
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from loadtest.bench import results, table
from tests.objectstore import BUCKET, serving
from tests.system.product import Process, ask, role, started, template, until

SECTION = "Wakes"
FORKS = "Wakes by fork"
PROGRAM = Path(__file__).with_name("program.py")
WEB = Path(__file__).with_name("web.py")
PRELOAD = ("aiohttp.web", "aiohttp.resolver")
FORKING = ("process", "bubblewrap")
PHASES = ("queue", "claim", "fetch", "restore", "ready")
NAMESPACE = "bench"
REST_S = 0.6
"""Between two wakes: what is made in advance has been made again."""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_wake", description=__doc__)
    parser.add_argument("--classes", default="process,bubblewrap,gvisor")
    parser.add_argument("--only-forks", action="store_true", help="no more than zygotes")
    parser.add_argument("--wakes", type=int, default=20, help="of each kind")
    parser.add_argument("--held", type=int, default=20, help="MiB that the actor holds in memory")
    parser.add_argument("--dry", action="store_true", help="print only, leave results.md")
    return parser.parse_args(given)


@dataclass(slots=True)
class Series:
    """The wakes of one kind."""

    first_byte_ms: list[float] = field(default_factory=list)
    phases: dict[str, list[float]] = field(default_factory=dict)

    def add(self, took_ms: float, told: str) -> None:
        self.first_byte_ms.append(took_ms)
        for part in told.partition(";")[2].split(","):
            name, _, value = part.strip().partition("=")
            if name in PHASES:
                self.phases.setdefault(name, []).append(float(value))

    def row(self) -> list[str]:
        if len(self.first_byte_ms) < 2:
            return ["-"] * (3 + len(PHASES))
        points = quantiles(self.first_byte_ms, n=100, method="inclusive")
        told = [f"{points[at - 1]:.0f}" for at in (50, 95, 99)]
        for name in PHASES:
            values = self.phases.get(name)
            told.append("-" if not values else f"{sorted(values)[len(values) // 2]:.0f}")
        return told


class Bench:
    def __init__(
        self,
        up: Process,
        kind: str,
        held: int,
        program: Path = PROGRAM,
        preload: Sequence[str] = (),
    ) -> None:
        self._up = up
        self.actor = f"{kind}-0"
        self._kind = kind
        self._program = program
        self._preload = preload
        self._made = 0
        self._apply(held)

    def _apply(
        self, held: int, *, freeze: str = "never", suspend: str = "never", golden: bool = False
    ) -> None:
        spec: dict[str, Any] = {
            "runtime": {"class": self._kind},
            "command": ["python3", self._program.name],
            "workingDir": str(self._program.parent),
            "preload": list(self._preload),
            "env": [{"name": "HELD_MIB", "value": str(held)}],
            "durable": ["/data"],
            "readiness": {"httpGet": {"path": "/healthz"}},
            "idle": {"freezeAfter": freeze, "suspendAfter": suspend},
            "snapshot": {"golden": golden},
            "create": {"onRequest": True},
        }
        answer = self._up.apply(template(self._kind, ns=self.namespace, **spec))
        assert answer.status == 200, answer.body

    @property
    def namespace(self) -> str:
        way = "fork" if self._preload else "anew"
        return f"{NAMESPACE}-{self._kind}-{self._program.stem}-{way}"

    def wake(self, series: Series, kind: str = "") -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._up.edge, timeout=60)
        headers = self._up.host(self.actor, self.namespace)
        began = time.perf_counter()
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        took_ms = (time.perf_counter() - began) * 1000
        told = answer.getheader("Rouse-Wake") or ""
        body = answer.read()
        connection.close()
        assert answer.status == 200, body
        assert told, "it was awake already"
        if told.startswith(kind):
            series.add(took_ms, told)

    def suspend(self) -> None:
        path = f"/v1/namespaces/{self.namespace}/actors/{self.actor}/suspend"
        json = {"Content-Type": "application/json"}
        answer = ask(self._up.admin, "POST", path, headers=json, body=b"{}")
        assert answer.status == 200, answer.body
        time.sleep(REST_S)

    def forget(self) -> None:
        for path in (self._up.data / "worker" / "kept").glob("*/*"):
            shutil.rmtree(path)
        shutil.rmtree(self._up.data / "cache", ignore_errors=True)

    def another(self) -> None:
        self._made += 1
        self.actor = f"{self._kind}-{self._made}"

    def frozen(self, held: int) -> None:
        """From now on it freezes when it is idle for an instant; it is awake."""
        self._apply(held, freeze="100ms")
        self.another()
        self.wake(Series())

    def golden(self, held: int) -> None:
        """From now on new actors go on from the golden, which is there."""
        built = self._up.output().count("golden built")
        self._apply(held, golden=True)
        self.another()
        self.wake(Series())
        until("a golden is built", lambda: self._up.output().count("golden built") > built)

    def sleepy(self, held: int) -> None:
        """From now on it is suspended when it is idle for a second; it is awake."""
        self._apply(held, suspend="1s")
        self.another()
        self.wake(Series())

    def wait_suspending(self) -> None:
        """Until its suspend has just begun; asked often, for it takes some 100 ms in all. One that
        was taken back serves a moment before the table says so."""
        while self._up.state(self.actor, self.namespace) == "SUSPENDING":
            time.sleep(0.002)
        while self._up.state(self.actor, self.namespace) != "SUSPENDING":
            time.sleep(0.002)

    def wait_frozen(self) -> None:
        until("it is frozen", lambda: self._up.state(self.actor, self.namespace) == "frozen")


def measure_forks(
    up: Process, kind: str, options: argparse.Namespace
) -> Iterator[tuple[str, Series]]:
    """An aiohttp server, started anew and forked from a parent that has imported it."""

    def slept(bench: Bench) -> None:
        bench.suspend()
        bench.forget()

    for preload in ((), PRELOAD):
        bench = Bench(up, kind, 0, WEB, preload)
        way = "zygote" if preload else "anew"
        bench.wake(Series())
        for name, before in (("cache", Bench.suspend), ("store", slept)):
            series = Series()
            for _ in range(options.wakes if preload else max(5, options.wakes // 2)):
                before(bench)
                bench.wake(series)
            yield f"{way}, from the {name}", series
        bench.suspend()


def measure(bench: Bench, options: argparse.Namespace) -> Iterator[tuple[str, Series]]:
    def times(before: Callable[[], None], count: int, kind: str = "") -> Series:
        series = Series()
        for _ in range(count):
            before()
            bench.wake(series, kind)
        return series

    def next_one() -> None:
        bench.another()
        time.sleep(REST_S)

    def slept() -> None:
        bench.suspend()
        bench.forget()

    yield "plain start", times(next_one, max(5, options.wakes // 2))
    yield "from the cache", times(bench.suspend, options.wakes)
    yield "from the store", times(slept, options.wakes)
    bench.golden(options.held)
    yield "golden start", times(next_one, options.wakes)
    bench.frozen(options.held)
    yield "thaw", times(bench.wait_frozen, options.wakes)
    bench.sleepy(options.held)
    # One that came too late waits for the whole suspend, and is a wake from the cache.
    yield "under a suspend", times(bench.wait_suspending, options.wakes, "thaw")


@contextmanager
def product() -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="rouse-bench-wake-") as name:
        where = Path(name)
        (where / "store").mkdir()
        with serving(where / "store") as store:
            url = f"s3://{BUCKET}/wake?endpoint={store.endpoint}&region=us-east-1"
            with started(role("up", where / "up", "--snapshots", url)) as up:
                yield up


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    load = os.getloadavg()
    rows = [["class", "sleep", "first byte p50", "p95", "p99", *PHASES]]
    with product() as up:
        for kind in options.classes.split(","):
            for name, series in (
                () if options.only_forks else measure(Bench(up, kind, options.held), options)
            ):
                rows.append([kind, name, *series.row()])
                print(*(f"{cell:>15}" for cell in rows[-1]), flush=True)
            for name, series in measure_forks(up, kind, options) if kind in FORKING else ():
                rows.append([f"{kind}, aiohttp", name, *series.row()])
                print(*(f"{cell:>15}" for cell in rows[-1]), flush=True)
    print(f"\n{table.aligned(rows)}")
    if not options.dry and options.only_forks:
        about = (
            f"{results.machine(time.strftime('%Y-%m-%d'))}; load average before it "
            f"{load[0]:.1f}, after it {os.getloadavg()[0]:.1f}.\n\nAn aiohttp server with a "
            f"file of its own, started anew ({max(5, options.wakes // 2)} wakes of each kind) and "
            f"forked from a zygote ({options.wakes}), one at a time; milliseconds, phases are "
            "medians. S3 server, gateway, worker and caller on the same cores."
        )
        results.write(FORKS, f"{about}\n\n{table.markdown(rows)}")
    elif not options.dry:
        about = (
            f"{results.machine(time.strftime('%Y-%m-%d'))}.\n\n{options.wakes} wakes of each kind, "
            f"one at a time, {options.held} MiB of random bytes in the actor's memory; "
            "milliseconds, phases are medians. S3 server, gateway, worker and caller on the same "
            "cores."
        )
        results.write(SECTION, f"{about}\n\n{table.markdown(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
