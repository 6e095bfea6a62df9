"""Start a program quickly and with nothing of ours: descriptors, session, environment."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from runtimes.base import RuntimeFailure

T = TypeVar("T")


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None,
    output: int,
    keep: Collection[int] = (),
) -> int:
    """The pid of a new session's leader, whose stdout and stderr are `output`.

    Returns when the exec has succeeded. Popen does it by vfork and close_range, without copying
    our page tables. Raises RuntimeFailure when the program cannot be started.
    """
    try:
        child = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            close_fds=True,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    except BlockingIOError as error:
        raise RuntimeFailure("no more processes on this machine", retryable=True) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if cwd is not None and not cwd.is_dir():
            raise RuntimeFailure(f"working directory {cwd} is not there") from error
        raise RuntimeFailure(f"cannot start {argv[0]!r}: {why}") from error
    pid = child.pid
    # From here on the process is waited for by pidfd. A Popen that thinks so too would, when it
    # is collected, warn and some day wait for a pid that is somebody else's by then.
    child.returncode = 0
    return pid


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking piece in a thread. A cancel waits for its end and then passes on, so that
    whoever cleans up after it finds all that it made."""
    return await to_its_end(asyncio.get_running_loop().run_in_executor(None, call))


async def to_its_end(future: asyncio.Future[T]) -> T:
    """Its result. A cancel waits for it and then passes on."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue
        if not future.cancelled():
            future.exception()  # seen; the cancel is what the caller hears of
        raise


def find_program(name: str, path: str) -> Path | None:
    """Where `name` is on `path`, as execvp(3) looks for it."""
    if "/" in name:
        return Path(name) if os.access(name, os.X_OK) else None
    for directory in path.split(os.pathsep):
        candidate = Path(directory or ".") / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None
