"""`make bench-egress`: interception side by side, one core for the proxy, the other for the load.

ARGS: seconds a run (5) and sides (none rouse squid mitmproxy). The load is oha, which measures
CONNECT rightly (`cargo install --locked oha`, or OHA=path). Read the ratios, not the numbers.
"""

import base64
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
CALL = '{"model": "gpt-4o-mini", "stream": true, "messages": []}'


@dataclass(frozen=True)
class Run:
    rate: float
    p50_ms: float
    p99_ms: float
    failed: int

    def __str__(self) -> str:
        told = f"{self.rate:,.0f}/s (p50 {self.p50_ms:.2f}, p99 {self.p99_ms:.2f} ms)"
        return f"{told}, {self.failed} FAILED" if self.failed else told


@dataclass(frozen=True, kw_only=True)
class Load:
    """A column of the table."""

    name: str
    url: str
    is_kept: bool = True
    is_call: bool = False


def loads(behind: Backend) -> list[Load]:
    opened = f"https://localhost:{behind.tls}/"
    return [
        Load(name="kept", url=opened),
        Load(name="new, leaf cached", url=opened, is_kept=False),
        Load(name="plain", url=f"http://localhost:{behind.plain}/"),
        Load(name="LLM stream", url=f"{opened}v1/chat/completions", is_call=True),
    ]


def run(side: Side, load: Load, seconds: int) -> Run:
    oha = sides.find("oha", "cargo install --locked oha, or OHA=path", "OHA")
    command = ["taskset", "-c", str(sides.LOAD_CORE), oha, "--no-tui", "--output-format", "json",
               "-z", f"{seconds}s", "-c", str(CONNECTIONS), "--cacert", str(side.ca)]  # fmt: skip
    if side.proxy is not None:
        scheme, _sep, rest = side.proxy.partition("://")
        user, at, where = rest.rpartition("@")
        if at:
            pair = base64.b64encode(user.encode()).decode()
            header = "-H" if load.url.startswith("http:") else "--proxy-header"
            command += [header, f"Proxy-Authorization: Basic {pair}"]
        command += ["-x", f"{scheme}://{where}"]
    if not load.is_kept:
        command.append("--disable-keepalive")
    if load.is_call:
        command += ["-m", "POST", "-d", CALL, "-T", "application/json"]
    told = subprocess.run([*command, load.url], capture_output=True, check=True, text=True).stdout
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
    return Run(good / total, (share["p50"] or 0) * 1000, (share["p99"] or 0) * 1000, failed)


@contextlib.contextmanager
def _none(home: Path, behind: Backend) -> Iterator[Side]:
    yield Side(name="none (nginx itself)", proxy=None, ca=behind.ca)


SIDES = {
    "none": _none,
    "rouse": sides.rouse,
    "squid": sides.squid,
    "mitmproxy": sides.mitmproxy,
}


def _measure(side: Side, columns: list[Load], seconds: int) -> None:
    cells = []
    for each in columns:
        run(side, each, 1)  # leaves and code warm
        cells.append(str(run(side, each, seconds)))
    print("|".join(["", f" {side.name} ", *(f" {each} " for each in cells), ""]), flush=True)


def main(arguments: list[str]) -> int:
    seconds = next((int(each) for each in arguments if each.isdigit()), 5)
    wanted = [each for each in arguments if each in SIDES] or list(SIDES)
    with tempfile.TemporaryDirectory(prefix="rouse-bench-") as directory:
        home = Path(directory)
        with sides.backend(home) as behind:
            columns = loads(behind)
            print(
                "|".join(["", " proxy on one core ", *(f" {each.name} " for each in columns), ""])
            )
            print("|---" * (len(columns) + 1) + "|", flush=True)
            for name in wanted:
                try:
                    with SIDES[name](home, behind) as side:
                        _measure(side, columns, seconds)
                except Missing as missing:
                    print(f"| {name} | not here: {missing} |" + " |" * (len(columns) - 1))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main(sys.argv[1:]))
