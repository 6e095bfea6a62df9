"""`python -m loadtest.bench`: measure rouse beside other proxies and write results.md.

Proxies run on core 0, the backend and wrk on core 1; in each round every side has its turn under
one load before the next load, so that a noisy minute is everybody's. Rouse has on what is on by
default (routing by host, tickets, request ids, metrics, access log to a file); the others only
forward. Its relay is the compiled one but where the name says otherwise.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from loadtest.bench import idle, results, table
from loadtest.bench.sides import (
    LOAD_CORE,
    ROUTER,
    Side,
    SideFailed,
    Sides,
    first_answer,
    missing_tools,
    on_core,
    resident_mb,
    tool,
)
from loadtest.bench.table import Series
from loadtest.bench.wrk import LOADS, Load, WrkFailed, measure
from loadtest.product import ProductFailed

SECTION = "Proxies side by side"
WARM_S = 1.0
Results = dict[str, dict[str, Series]]
"""By load and side."""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=4, help="rounds; the median counts")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0: none")
    parser.add_argument(
        "--only",
        action="append",
        choices=Sides.NAMES,
        help="these sides (may be given several times); results.md stays as it is",
    )
    parser.add_argument(
        "--load", action="append", help="loads whose name has this in it; results.md stays"
    )
    parser.add_argument("--dry", action="store_true", help="print only, leave results.md")
    return parser.parse_args(given)


def started(sides: Sides, names: Sequence[str]) -> list[Side]:
    found = []
    for name in names:
        side = sides.start(name)
        if side is None:
            print(f"left out: {name} ({ROUTER} does not say how to start it)", flush=True)
            continue
        first_answer(side)
        found.append(side)
    return found


def rounds(
    sides: Sequence[Side], loads: Sequence[Load], options: argparse.Namespace, scratch: Path
) -> Results:
    turns = {load: [side for side in sides if side.is_tls == load.is_tls] for load in loads}
    made: Results = {
        load.name: {side.name: Series() for side in turns[load]} for load in loads if turns[load]
    }
    for number in range(options.repeats):
        print(f"round {number + 1} of {options.repeats}", flush=True)
        for load in loads:
            for side in turns[load]:
                series = made[load.name][side.name]
                with on_core(LOAD_CORE):
                    # Connections to the backend ended while the others had their turn: on every
                    # side they are made in a second that does not count.
                    measure(load, side.port, side.fields, WARM_S, scratch)
                    sample = measure(load, side.port, side.fields, options.seconds, scratch)
                series.samples.append(sample)
                series.memory_mb = resident_mb(side.pids)
    return made


def idle_rows(names: Sequence[str], wanted: int, scratch: Path) -> list[list[str]]:
    """Of proxies just started: after a load they would fill what it left behind."""
    with Sides(scratch) as sides:
        return _idle_rows(started(sides, names), wanted)


def _idle_rows(sides: Sequence[Side], wanted: int) -> list[list[str]]:
    count = idle.affordable(wanted)
    rows = [["side", "connections", "MB before", "MB with them", "KB each"]]
    for side in sides:
        if not side.pids:
            continue
        before = resident_mb(side.pids)
        with on_core(LOAD_CORE), idle.held(side.port, count, side.fields) as good:
            after = resident_mb(side.pids)
        each = (after - before) * 1024 / count
        row = [side.name, f"{good:,}", f"{before:.0f}", f"{after:.0f}", f"{each:.1f}"]
        rows.append(row)
    return rows


def told(made: Results, idle_table: list[list[str]] | None, options: argparse.Namespace) -> str:
    when = time.strftime("%Y-%m-%d", time.gmtime())
    commands = {name: [tool(name), "-v"] for name in ("haproxy", "nginx", "wrk")}
    lines = [
        f"{results.machine(when)}. {results.versions(commands, ['aiohttp', 'uvloop'])}.",
        f"Each number is the median of {options.repeats} rounds of {options.seconds:g} s; "
        "ratios are of the same round. Proxy on core 0; backend (nginx) and wrk -t1 on core 1. "
        "Each follows a second that does not count. Memory is resident, of the proxy's own "
        "processes, after the load.",
    ]
    for load, sides in made.items():
        lines += [f"### {load}", table.markdown(table.rows(sides))]
    if idle_table is not None:
        lines += ["### Idle keep-alive connections", table.markdown(idle_table)]
    return "\n\n".join(lines)


def run(options: argparse.Namespace, scratch: Path) -> int:
    loads = [
        load for load in LOADS if not options.load or any(w in load.name for w in options.load)
    ]
    if not loads:
        print(f"no such load; there are: {', '.join(load.name for load in LOADS)}")
        return 2
    names = options.only or Sides.NAMES
    with Sides(scratch / "loads") as sides:
        made = rounds(started(sides, names), loads, options, scratch)
    for load, by_side in made.items():
        print(f"\n{load}\n{table.aligned(table.rows(by_side))}", flush=True)
    idle_table = None
    if options.idle:
        plain = [name for name in names if not name.endswith("-tls")]
        idle_table = idle_rows(plain, options.idle, scratch / "idle")
        print(f"\nidle keep-alive connections\n{table.aligned(idle_table)}", flush=True)
    if not (options.dry or options.only or options.load):
        results.write(SECTION, told(made, idle_table, options))
        print(f"\nwritten: {os.path.relpath(results.RESULTS)}")
    wrong = table.complaints(made)
    for complaint in wrong:
        print(f"failed: {complaint}", file=sys.stderr)
    return 1 if wrong else 0


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    if missing := missing_tools():
        packages = " ".join(missing)
        print(f"bench: missing {packages}: `make tools`, or apt-get install {packages}")
        return 1
    if len(os.sched_getaffinity(0)) < 2:
        print("bench: needs two cores, one for the proxy and one for those around it")
        return 1
    idle.affordable(0)  # the limit of open files is raised for the children too
    with tempfile.TemporaryDirectory(prefix="rouse-bench-") as scratch:
        try:
            return run(options, Path(scratch))
        except (SideFailed, WrkFailed, ProductFailed, OSError) as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
