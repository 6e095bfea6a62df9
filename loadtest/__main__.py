"""`python -m loadtest`: start the product, send the waves, print the report, fail on any error."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from loadtest import samples
from loadtest.product import Product, ProductFailed, installed
from loadtest.report import report

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "load"
GRACE_S = 60.0
"""How long locust may take beyond the run: open requests end first."""


def template(counter: Path) -> dict[str, object]:
    """The counter, with idle times short enough to see both sleeps in one run."""
    return {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "ActorTemplate",
        "metadata": {"namespace": NAMESPACE, "name": "counter"},
        "spec": {
            "command": ["python3", "-S", "-m", "counter"],
            "workingDir": str(counter),
            "ports": [{"name": "http", "port": 8080}],
            "readiness": {"httpGet": {"path": "/healthz", "port": "http"}, "timeout": "20s"},
            "durable": ["/data"],
            "idle": {"freezeAfter": "1s", "suspendAfter": "2500ms"},
            "wake": {"timeout": "30s", "queue": 1024},
            "create": {"onRequest": True},
        },
    }


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--users", type=int, default=16, help="callers at the crest of a wave")
    parser.add_argument("--herd", type=int, default=20, help="callers at once on one actor")
    parser.add_argument("--runtime", default="process")
    parser.add_argument("--slots", type=int, default=100)
    parser.add_argument(
        "--against",
        nargs=2,
        metavar=("EDGE_URL", "ADMIN_URL"),
        help="a product that runs already, instead of one started for this",
    )
    return parser.parse_args(given)


def apply_template(admin_url: str) -> None:
    body = json.dumps(template(ROOT / "examples" / "counter")).encode()
    fields = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{admin_url}/v1/templates", body, fields)
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(1000).decode(errors="replace")
        raise ProductFailed(f"the template was refused: {error.code} {told}") from error


def send_waves(options: argparse.Namespace, edge_url: str, admin_url: str, into: Path) -> None:
    """Run locust in a process of its own: gevent changes the whole one it is in."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ROUSE_LOAD_ADMIN": admin_url,
        "ROUSE_LOAD_SAMPLES": str(into),
        "ROUSE_LOAD_SECONDS": str(options.seconds),
        "ROUSE_LOAD_USERS": str(options.users),
        "ROUSE_LOAD_HERD": str(options.herd),
        "ROUSE_LOAD_NAMESPACE": NAMESPACE,
    }
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "users.py")]
    command += ["--headless", "--host", edge_url, "--stop-timeout", "30"]
    command += ["--loglevel", "WARNING", "--only-summary", "--exit-code-on-error", "0"]
    done = subprocess.run(
        command,
        env=environ,
        cwd=into.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=options.seconds + GRACE_S,
        check=False,
    )
    if done.returncode != 0 or not into.exists():
        raise ProductFailed(f"locust ended with status {done.returncode}:\n{done.stdout[-4000:]}")


def run(options: argparse.Namespace, scratch: Path) -> int:
    with ExitStack() as stack:
        if options.against:
            edge_url, admin_url = options.against
        else:
            product = Product(
                scratch, rouse=installed(), runtime=options.runtime, slots=options.slots
            )
            stack.enter_context(product)
            edge_url, admin_url = product.edge_url, product.admin_url
        print(f"load on {edge_url} for {options.seconds:.0f} s", flush=True)
        apply_template(admin_url)
        began = time.monotonic()
        send_waves(options, edge_url, admin_url, scratch / "samples")
        result = report(samples.read(scratch / "samples"), seconds=time.monotonic() - began)
        print("\n".join(result.lines), flush=True)
    for complaint in result.complaints:
        print(f"failed: {complaint}", file=sys.stderr)
    return 1 if result.complaints else 0


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    with tempfile.TemporaryDirectory(prefix="rouse-load-") as scratch:
        try:
            return run(options, Path(scratch))
        except (ProductFailed, OSError, subprocess.TimeoutExpired) as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
