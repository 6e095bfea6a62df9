"""The runsc program: where it is, and calls of it that can neither hang nor hold our pipes."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from runtimes.base import RuntimeFailure

KNOWN = "20260905.0"
"""What scripts/install-runsc builds."""
CALL_LIMIT_S = 20.0
"""A runsc that hangs ignores SIGTERM, so each call ends in SIGKILL after this."""
HOW_TO_GET_IT = "no runsc: run scripts/install-runsc (needs Go), or put one on PATH"


class _Line(msgspec.Struct):
    """Of runsc's own log, written as JSON."""

    msg: str = ""
    level: str = ""


def find() -> Path | None:
    """The one that scripts/install-runsc built, else the system's."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    tools = Path(os.environ.get("ROUSE_TOOLS") or Path(cache, "rouse", "tools"))
    built = tools / "runsc" / KNOWN / "runsc"
    if os.access(built, os.X_OK):
        return built
    found = shutil.which("runsc")
    return Path(found) if found else None


def run(argv: Sequence[str | Path], output: int, *, limit_s: float = CALL_LIMIT_S) -> int:
    """Run to its end; its exit status. `output` is a file, never a pipe: a sandbox that inherits
    a pipe would keep its reader waiting as long as it lives. Raises RuntimeFailure. Blocks."""
    try:
        child = subprocess.Popen(
            [str(word) for word in argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise RuntimeFailure(f"cannot start {argv[0]}: {error.strerror}", retryable=True) from error
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise RuntimeFailure(f"runsc did not end in {limit_s:g} s", retryable=True) from None


def ask(argv: Sequence[str | Path], *, limit_s: float = CALL_LIMIT_S) -> str:
    """What a call that begins no sandbox prints. Raises RuntimeFailure."""
    output = os.memfd_create("rouse-runsc", os.MFD_CLOEXEC)
    try:
        status = run(argv, output, limit_s=limit_s)
        said = os.pread(output, 1 << 20, 0).decode(errors="replace").strip()
    finally:
        os.close(output)
    if status != 0:
        raise RuntimeFailure(f"{Path(argv[0]).name} {argv[1]}: {said[-300:] or f'status {status}'}")
    return said


def last_error(log: Path) -> str:
    """The last thing that runsc complained of in its log, cut; empty when nothing."""
    try:
        lines = log.read_bytes().splitlines()[-50:]
    except OSError:
        return ""
    for line in reversed(lines):
        with contextlib.suppress(msgspec.DecodeError):
            found = msgspec.json.decode(line, type=_Line)
            if found.level in ("error", "fatal", "warning") and found.msg:
                return found.msg[:500]
    return ""
