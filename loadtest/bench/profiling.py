"""`python -m loadtest.bench.profiling`: where the relay's time goes, by cProfile under wrk.

The profile begins once the actor is warm and ends before the product stops: no start-up is in it.
cProfile makes calls dearer than they are; believe the order and the counts before the times.
"""

import argparse
import io
import os
import pstats
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from loadtest.bench import configs
from loadtest.bench.sides import (
    LOAD_CORE,
    PROXY_CORE,
    Side,
    SideFailed,
    be_actor,
    first_answer,
    on_core,
)
from loadtest.bench.wrk import LOADS, Load, Sample, WrkFailed, measure
from loadtest.product import Product, ProductFailed

_DUMP_WITHIN_S = 20.0

PROGRAM = """\
#!{python}
import cProfile, os, signal, sys
profile = cProfile.Profile()
def stop(*_):
    profile.disable()
    profile.dump_stats({into!r} + ".new")
    os.rename({into!r} + ".new", {into!r})
signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
signal.signal(signal.SIGUSR2, stop)
from gateway.__main__ import main
main()
"""
"""The command `rouse`, profiled between two signals."""


def launcher(directory: Path, into: Path) -> Path:
    path = directory / "rouse"
    path.write_text(PROGRAM.format(python=sys.executable, into=str(into)))
    path.chmod(0o755)
    return path


def told(stats: Path, sample: Sample, requests: float, count: int) -> str:
    """The dearest functions by their own time, with calls and microseconds per request."""
    read = pstats.Stats(str(stats), stream=io.StringIO())
    # The stubs hide what the class has always had: {function: (calls, primitive, own, all, by)}.
    found = read.stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in found.values())
    lines = [
        f"{requests:,.0f} requests while profiled ({sample.requests_s:,.0f}/s), "
        f"{total * 1e6 / requests:.1f} us each by the profiler's clock, "
        f"{sum(c for c, *_ in found.values()) / requests:.1f} calls each",
        f"{'own us':>8} {'with calls':>10} {'calls':>7}  function, all per request",
    ]
    dearest = sorted(found.items(), key=lambda item: -item[1][2])[:count]
    for (file, line, name), (calls, _, own, whole, _) in dearest:
        where = name if file == "~" else f"{_short(file)}:{line} {name}"
        per = 1e6 / requests
        lines.append(f"{own * per:8.2f} {whole * per:10.2f} {calls / requests:7.2f}  {where}")
    return "\n".join(lines)


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-3:])


def run(options: argparse.Namespace, load: Load, scratch: Path) -> str:
    into = scratch / "profile"
    with ExitStack() as stack:
        with on_core(PROXY_CORE):
            product = stack.enter_context(
                Product(scratch, rouse=launcher(scratch, into), runtime="process", slots=10)
            )
        www = scratch / "www"
        www.mkdir()
        for name, size in configs.FILES.items():
            (www / name).write_bytes(os.urandom(size))
        be_actor(product.admin_url, scratch, www)
        port = int(product.edge_url.rpartition(":")[2])
        fields = {"Host": configs.actor_host()}
        first_answer(Side(name="rouse", port=port, pids=(), fields=fields))
        with on_core(LOAD_CORE):
            measure(load, port, fields, 1, scratch)
            os.kill(product.pid, signal.SIGUSR1)
            sample = measure(load, port, fields, options.seconds, scratch)
        os.kill(product.pid, signal.SIGUSR2)
        ends = time.monotonic() + _DUMP_WITHIN_S
        while not into.exists():
            if time.monotonic() > ends:
                raise SideFailed("the profile was not written")
            time.sleep(0.05)
        return told(into, sample, sample.requests_s * options.seconds, options.count)


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.profiling", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--count", type=int, default=40, help="functions shown")
    parser.add_argument("--load", default="small GET, 32", help="the first load named like this")
    options = parser.parse_args(given)
    load = next((each for each in LOADS if options.load in each.name), None)
    if load is None:
        parser.error(f"there are: {'; '.join(each.name for each in LOADS)}")
    with tempfile.TemporaryDirectory(prefix="rouse-profile-") as scratch:
        try:
            print(run(options, load, Path(scratch)))
        except (SideFailed, WrkFailed, ProductFailed, OSError) as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
