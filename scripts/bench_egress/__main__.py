"""`make bench-egress`: interception side by side, one core for the proxy, the other for the load.

ARGS: seconds a run (5) and sides (none rouse squid mitmproxy). The load is oha, which measures
CONNECT rightly (`cargo install --locked oha`, or OHA=path). Read the ratios, not the numbers.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.bench_egress import sides
from scripts.bench_egress.sides import Backend, Missing, Side

CONNECTIONS = 16


@dataclass(frozen=True)
class Run:
    rate: float
    p50_ms: float
    p99_ms: float
    failed: int

    def __str__(self) -> str:
        told = f"{self.rate:,.0f}/s (p50 {self.p50_ms:.2f}, p99 {self.p99_ms:.2f} ms)"
        return f"{told}, {self.failed} FAILED" if self.failed else told


def load(side: Side, url: str, seconds: int, *, kept: bool) -> Run:
    oha = sides.find("oha", "cargo install --locked oha, or OHA=path", "OHA")
    command = ["taskset", "-c", str(sides.LOAD_CORE), oha, "--no-tui", "--output-format", "json",
               "-z", f"{seconds}s", "-c", str(CONNECTIONS), "--cacert", str(side.ca)]  # fmt: skip
    if side.proxy is not None:
        scheme, _sep, rest = side.proxy.partition("://")
        user, at, where = rest.rpartition("@")
        if at:
            import base64

            pair = base64.b64encode(user.encode()).decode()
            command += ["--proxy-header", f"Proxy-Authorization: Basic {pair}"]
        command += ["-x", f"{scheme}://{where}"]
    if not kept:
        command.append("--disable-keepalive")
    told = subprocess.run([*command, url], capture_output=True, check=True, text=True).stdout
    result = json.loads(told)
    codes = result["statusCodeDistribution"]
    good = codes.get("200", 0)
    total = result["summary"]["total"]
    errors = {
        what: number
        for what, number in result["errorDistribution"].items()
        if "deadline" not in what
    }
    failed = sum(codes.values()) - good + sum(errors.values())
    share = result["latencyPercentiles"]
    return Run(good / total, share["p50"] * 1000, share["p99"] * 1000, failed)


@contextlib.contextmanager
def _none(home: Path, behind: Backend) -> Iterator[Side]:
    yield Side(name="none (nginx itself)", proxy=None, ca=behind.ca)


SIDES = {
    "none": _none,
    "rouse": sides.rouse,
    "squid": sides.squid,
    "mitmproxy": sides.mitmproxy,
}


def main(arguments: list[str]) -> int:
    seconds = next((int(each) for each in arguments if each.isdigit()), 5)
    wanted = [each for each in arguments if each in SIDES] or list(SIDES)
    print("| proxy on one core | kept connections | new connection each |")
    print("|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="rouse-bench-") as directory:
        home = Path(directory)
        with sides.backend(home) as behind:
            for name in wanted:
                try:
                    with SIDES[name](home, behind) as side:
                        url = f"https://localhost:{behind.tls}/"
                        load(side, url, 1, kept=True)  # leaves and code warm
                        kept = load(side, url, seconds, kept=True)
                        new = load(side, url, seconds, kept=False)
                        print(f"| {side.name} | {kept} | {new} |", flush=True)
                except Missing as missing:
                    print(f"| {name} | not here: {missing} | |", flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main(sys.argv[1:]))
