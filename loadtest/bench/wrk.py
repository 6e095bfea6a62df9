"""One measurement: wrk against one side for some seconds, and what it saw."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_GRACE_S = 30.0

SCRIPT = """\
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
POST = """\
wrk.method = "POST"
wrk.body = string.rep("x", 1024)
wrk.headers["Content-Type"] = "application/octet-stream"
"""


class WrkFailed(Exception):
    """It did not run to its end; the message has its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    name: str
    path: str
    connections: int
    is_post: bool = False
    is_tls: bool = False


LOADS = (
    Load(name="small GET, 32 connections", path="/", connections=32),
    Load(name="small GET, 512 connections", path="/", connections=512),
    Load(name="16 KB, 32 connections", path="/16k", connections=32),
    Load(name="1 MB, 32 connections", path="/1m", connections=32),
    Load(name="POST 1 KB, 32 connections", path="/sink", connections=32, is_post=True),
    Load(name="small GET over TLS, 32 connections", path="/", connections=32, is_tls=True),
    Load(name="1 MB over TLS, 32 connections", path="/1m", connections=32, is_tls=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    requests_s: float
    p50_ms: float
    p99_ms: float
    errors: int = 0
    """Refused, broken, timed out, or of a status that is none of 2xx and 3xx."""


def script(load: Load) -> str:
    return (POST if load.is_post else "") + SCRIPT


def command(
    load: Load, port: int, fields: Mapping[str, str], seconds: float, script_at: Path
) -> list[str]:
    words = ["wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s"]
    words += ["-s", str(script_at), "--timeout", "20s"]
    for name, value in fields.items():
        words += ["-H", f"{name}: {value}"]
    return [*words, f"{'https' if load.is_tls else 'http'}://127.0.0.1:{port}{load.path}"]


def read(output: str) -> Sample:
    """What the script said in the last line. Raises WrkFailed."""
    line = output.strip().rpartition("\n")[2]
    try:
        told = json.loads(line)
        seconds = told["us"] / 1e6
        return Sample(
            requests_s=told["requests"] / seconds,
            p50_ms=told["p50_us"] / 1000,
            p99_ms=told["p99_us"] / 1000,
            errors=told["errors"],
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise WrkFailed(f"wrk said nothing that can be read: {output[-1000:]}") from error


def measure(
    load: Load, port: int, fields: Mapping[str, str], seconds: float, scratch: Path
) -> Sample:
    """Raises WrkFailed."""
    script_at = scratch / f"{'post' if load.is_post else 'get'}.lua"
    script_at.write_text(script(load))
    try:
        done = subprocess.run(
            command(load, port, fields, seconds, script_at),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds + _GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WrkFailed(f"wrk did not end: {load.name} on port {port}") from error
    return read(done.stdout)
