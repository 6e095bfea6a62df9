"""`make density`: many actors on few slots, and what one costs, by class and by how deep it sleeps.

The counters of the examples, used in turn through two gateways: every visit wakes one, whose slot
another has to leave. Then some of one class at rest: memory while they run and when they are
frozen, and bytes of the store once they are suspended. One machine; results.md keeps it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from loadtest.bench import results, table
from scripts.bench_density.memory import charged_bytes, stored_bytes
from tests.system.apart import Apart, cold_wakes, table_server
from tests.system.crowd import Crowd
from tests.system.load import names_of
from tests.system.product import Process, counter, started, until

SECTION = "Density"
NAMESPACE = "demo"
MIB, GIB = 2**20, 2**30
TURNS = (
    *("class", "actors", "workers x slots", "requests", "failed", "cold wakes", "wakes/s"),
    *("cold p50 ms", "p95", "p99"),
)
REST = (
    *("class", "running, MiB each", "frozen, MiB each", "running per GiB", "frozen per GiB"),
    *("suspended, MiB of all", "in the store, KiB each", "per GiB of store"),
)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_density", description=__doc__)
    parser.add_argument("--classes", default="bubblewrap,gvisor")
    parser.add_argument("--actors", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--slots", type=int, default=10, help="of each worker")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--gvisor", default="200,4,6", help="actors, workers, slots for that class")
    parser.add_argument("--rest", type=int, default=10, help="actors at rest of each class")
    parser.add_argument("--dry", action="store_true", help="print only, leave results.md")
    return parser.parse_args(given)


def sizes(options: argparse.Namespace, kind: str) -> tuple[int, int, int]:
    if kind == "gvisor":
        actors, workers, slots = (int(word) for word in options.gvisor.split(","))
        return actors, workers, slots
    return options.actors, options.workers, options.slots


def apply(gateway: Process, kind: str, **spec: Any) -> None:
    document = counter(runtime={"class": kind}, **spec)
    document["metadata"]["namespace"] = NAMESPACE
    answer = gateway.apply(document)
    assert answer.status in (200, 201), answer.body


def in_turn(options: argparse.Namespace, kind: str, where: Path) -> list[str]:
    """The row of one class."""
    actors, count, slots = sizes(options, kind)
    with table_server() as server:
        apart = Apart(where, server)
        workers = [apart.worker(f"w{n}", "--slots", str(slots)) for n in range(count)]
        gateways = [apart.gateway(f"g{n}") for n in range(2)]
        with started(*workers, *gateways):
            # Nothing but need puts one to sleep.
            apply(gateways[0], kind, idle={"freezeAfter": "200ms", "suspendAfter": "1h"})
            crowd = Crowd(
                gateways=gateways,
                names=names_of("a", actors),
                ns=NAMESPACE,
                keeps_memory=kind == "gvisor",
            )
            began = time.monotonic()
            for turn in range(options.rounds):
                crowd.go_round(options.callers)
                print(f"{kind}: round {turn + 1}, {len(crowd.failed)} failed", flush=True)
            took_s = time.monotonic() - began
            wakes = cold_wakes(*workers)
            for complaint in crowd.failed[:20]:
                print(complaint, file=sys.stderr)
    points = quantiles(crowd.cold_ms, n=100, method="inclusive")
    return [
        kind,
        f"{actors:,}",
        f"{count} x {slots}",
        f"{crowd.requests:,}",
        str(len(crowd.failed)),
        f"{wakes:,.0f}",
        f"{wakes / took_s:.1f}",
        *(f"{points[at - 1]:.0f}" for at in (50, 95, 99)),
    ]


def at_rest(options: argparse.Namespace, kind: str, where: Path) -> list[str]:
    """What one costs: running, frozen, suspended."""
    names = names_of("r", options.rest)
    with table_server() as server:
        apart = Apart(where, server)
        worker, gateway = apart.worker("w0", "--slots", "100"), apart.gateway("g0")
        with started(worker, gateway):
            apply(gateway, kind)  # nothing sleeps by itself
            running = cost(gateway, worker, names, "running")
            suspend(gateway, names)
            stored = stored_bytes(where / "snapshots") / len(names)
            apply(gateway, kind, idle={"freezeAfter": "100ms", "suspendAfter": "never"})
            names = names_of("f", options.rest)
            frozen = cost(gateway, worker, names, "frozen")
            suspend(gateway, names)
            left = charged_bytes(worker)
    return [
        kind,
        *(f"{each / MIB:.1f}" for each in (running, frozen)),
        *(f"{GIB / each:,.0f}" for each in (running, frozen)),
        f"{left / MIB:.1f}",
        f"{stored / 1024:,.{0 if stored > 10_240 else 1}f}",
        f"{GIB / stored:,.0f}",
    ]


def cost(gateway: Process, worker: Process, names: Sequence[str], state: str) -> float:
    """Bytes of each, once all of them are in that state."""
    before = charged_bytes(worker)  # of empty sandboxes that stand ready
    for name in names:
        assert gateway.get(name, ns=NAMESPACE).status == 200
    until(
        f"all are {state}", lambda: worker.metric("rouse_actors", state=state) == len(names), 60.0
    )
    return (charged_bytes(worker) - before) / len(names)


def suspend(gateway: Process, names: Sequence[str]) -> None:
    for name in names:
        assert gateway.cli("actor", "suspend", name, "-n", NAMESPACE).returncode == 0


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    turns, rest = [list(TURNS)], [list(REST)]
    for kind in options.classes.split(","):
        with tempfile.TemporaryDirectory(prefix="rouse-density-") as name:
            turns.append(in_turn(options, kind, Path(name)))
            print(table.aligned(turns), flush=True)
    for kind in ("process", "bubblewrap", "gvisor"):
        with tempfile.TemporaryDirectory(prefix="rouse-density-") as name:
            rest.append(at_rest(options, kind, Path(name)))
            print(table.aligned(rest), flush=True)
    if not options.dry:
        about = (
            f"{results.machine(time.strftime('%Y-%m-%d'))}.\n\nCounters used in turn, "
            f"{options.rounds} rounds, {options.callers} callers: each visit is a GET, a POST, "
            "an upload, an event stream or a file, then a look at the counters, all through two "
            "gateways on the same cores. A wake has to wait for another actor's suspend: the times "
            "are of a machine that is full, not of a wake."
        )
        own = (
            f"{options.rest} of each class at rest. Memory is what their cgroup is charged, or the "
            "proportional share of their processes where there is none. A suspended one costs no "
            "memory of a worker, but for empty sandboxes that gvisor keeps ready, and some 200 "
            "bytes of Redis (above)."
        )
        body = f"{about}\n\n{table.markdown(turns)}\n\n{own}\n\n{table.markdown(rest)}"
        results.write(SECTION, body)
    return 1 if any(row[4] != "0" for row in turns[1:]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
