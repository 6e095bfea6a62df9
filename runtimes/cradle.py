"""The program of a zygote: imports what its template names, then forks actors when it is asked.

Run as a file by the template's own Python, in a sandbox where nothing else of rouse is: the
standard library alone, and no more of it than needed. One thread, one loop. Whatever is said here
is said again to the worker by the kernel (who is speaking, in which namespaces, with which rights):
the modules have run in this memory, so nothing that their code could tell is believed.

    worker -> zygote   {"modules", "command", "module", "arguments", "cwd"}  once
    zygote -> worker   {"ready"} | {"failed": why}
    worker -> zygote   {"fork"} with the child's end of a line, {"retire"}
    zygote -> worker   {"forked": pid} | {"stale": path}, {"ended": [[pid, status], ...]}
    child  -> worker   {"hello"}                                on its line, still outside
    worker -> child    {"user", "filters", "domain"} with output and namespaces
    child  -> worker   {"locked"}                               by what will be the actor
    worker -> child    {"env", "cwd"}
"""

import ctypes
import gc
import importlib
import json
import os
import platform
import random
import runpy
import select
import signal
import socket
import struct
import sys
from typing import Any

LARGEST = 4 << 20
MOST_FDS = 64
NAMESPACES = {
    "user": 0x10000000,
    "mnt": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
    "pid": 0x20000000,
}
"""In the order in which they are entered: the first gives the rights for the others."""
_KEYCTL = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING = 1
_CREATE_RULESET, _RESTRICT_SELF, _SCOPES = 444, 446, 3
"""Landlock: no signal and no abstract socket out of an own domain."""
_SET_DUMPABLE, _SET_SECCOMP, _CAPBSET_DROP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = (
    4,
    22,
    24,
    36,
    38,
)

Message = dict[str, Any]  # JSON: each side takes from it what it knows


def send(line: socket.socket, message: Message, fds: tuple[int, ...] = ()) -> None:
    data = json.dumps(message).encode()
    data = struct.pack("!I", len(data)) + data
    sent = socket.send_fds(line, [data], fds) if fds else line.send(data)
    if sent < len(data):  # an empty send fails too where the other side has closed
        line.sendall(data[sent:])


def receive(line: socket.socket) -> tuple[Message, list[int]] | None:
    """None when the other side is gone."""
    fds: list[int] = []
    head = _exactly(line, 4, fds)
    if head is None:
        return None
    (size,) = struct.unpack("!I", head)
    body = _exactly(line, size, fds) if size <= LARGEST else None
    return None if body is None else (json.loads(body), fds)


def _exactly(line: socket.socket, size: int, fds: list[int]) -> bytes | None:
    data = b""
    while len(data) < size:
        more, found, _, _ = socket.recv_fds(line, size - len(data), MOST_FDS)
        fds += found
        if not more:
            return None
        data += more
    return data


# The parent ---------------------------------------------------------------------------------


def preload(told: Message) -> str:
    """Import them all; empty, or why it cannot be done."""
    place(told)
    for name in told["modules"]:
        try:
            importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001
            # Whatever it was, it ends this parent, and is told.
            import traceback

            traceback.print_exc()
            return f"cannot import {name}: {type(error).__name__}: {error}"[:500]
    return ""


def place(told: Message) -> None:
    """Where and how the program would have been started: its directory, and where it imports from.

    Python puts the program's place first on sys.path, unless it was told not to (-P, -I)."""
    os.chdir(told["cwd"])
    mine = os.path.dirname(os.path.abspath(__file__))
    if sys.path and sys.path[0] == mine:
        del sys.path[0]
    if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
        file = told["arguments"][0]
        first = os.getcwd() if told["module"] else os.path.dirname(os.path.realpath(file))
        if first not in sys.path[:1]:
            sys.path.insert(0, first)


def files() -> dict[str, tuple[int, int]]:
    """Of what was imported: time of change and size."""
    found = {}
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path != __file__ and (seen := look(path)) is not None:
            found[path] = seen
    return found


def look(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def serve(control: socket.socket) -> tuple[socket.socket, Message] | None:
    """Fork when asked. Returns in each child, with its line; in the parent, None at its end."""
    first = receive(control)
    if first is None:
        return None
    told = first[0]
    why_not = preload(told)
    if why_not:
        send(control, {"failed": why_not})
        return None
    known = files()
    before = signal.getsignal(signal.SIGCHLD)
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    if sys.platform == "linux":
        # The actor's process is a grandchild: between the two a process enters its sandbox and
        # ends. It comes back here, so that somebody learns how it ended.
        libc().prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # What is alive now stays so: a collector that touches it in each child would copy its pages.
    gc.collect()
    gc.freeze()
    send(control, {"ready": True})
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake, select.POLLIN)
    retired = False
    while True:
        for ready, _ in poller.poll():
            if ready == wake.fileno():
                wake.recv(4096)
                ended, is_alone = reap()
                if ended:
                    send(control, {"ended": ended})
                if retired and is_alone:
                    return None
                continue
            message = receive(control)
            if message is None:
                return None
            asked, fds = message
            if "retire" in asked:
                retired = True
                if reap()[1]:
                    return None
                continue
            stale = next((path for path, was in known.items() if look(path) != was), None)
            if stale is not None:
                os.close(fds[0])
                send(control, {"stale": stale})
                continue
            sys.stdout.flush()
            sys.stderr.flush()
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
                line = socket.socket(fileno=only(fds[0]))
                for mine in (control, wake, waker):
                    mine.detach()  # closed already: the number may be another's by now
                return line, told
            os.close(fds[0])
            send(control, {"forked": child})


def reap() -> tuple[list[tuple[int, int]], bool]:
    """Who ended and how; and is nobody left?"""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, True
        if pid == 0:
            return ended, False
        ended.append((pid, os.waitstatus_to_exitcode(status)))


# The child ----------------------------------------------------------------------------------


def only(kept: int) -> int:
    """Close everything but stdin, stdout, stderr and `kept`, whoever opened it; its new number."""
    os.dup2(kept, 3)
    os.closerange(4, 1 << 20)
    return 3


def become(line: socket.socket) -> Message:
    """From a copy of the parent to the process of the actor: ends this one where it cannot be."""
    send(line, {"hello": True})
    told, fds = expected(line)
    output, *namespaces = fds
    if namespaces:
        enter(namespaces)
        lock(told["user"], told["filters"], told["domain"])
        if os.fork():
            os._exit(0)  # outside its own process namespace; the child is in it
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number, place in ((null, 0), (output, 1), (output, 2)):
        os.dup2(number, place)
    os.closerange(4, 1 << 20)
    send(line, {"locked": True})
    told, _ = expected(line)
    line.close()
    return told


def expected(line: socket.socket) -> tuple[Message, list[int]]:
    got = receive(line)
    if got is None:
        os._exit(0)  # the worker gave up, or died: nothing of an actor is here yet
    return got


def libc() -> Any:  # a ctypes library has whatever one asks it for
    return ctypes.CDLL(None, use_errno=True)


def enter(namespaces: list[int]) -> None:
    """Into a sandbox that stands ready: the first namespace gives the rights for the others."""
    c = libc()
    for descriptor, kind in zip(namespaces, NAMESPACES.values(), strict=True):
        checked(c.setns(descriptor, kind))


def lock(user: int, filters: list[str], domain: bool) -> None:
    """Out of all rights that let us in, for good."""
    c = libc()
    if platform.machine() in _KEYCTL:
        # Else all that descend from one login share a place for keys. Kernels without it: ENOSYS.
        c.syscall(_KEYCTL[platform.machine()], _JOIN_SESSION_KEYRING, None)
    os.setgroups([])
    for capability in range(64):
        if c.prctl(_CAPBSET_DROP, capability, 0, 0, 0):
            break  # the kernel's last
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    checked(c.capset(header, (ctypes.c_uint32 * 6)()))
    # Changing the user id closed /proc/self to itself, as for a set-user-id program.
    checked(c.prctl(_SET_DUMPABLE, 1, 0, 0, 0))
    checked(c.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if domain:
        rules = c.syscall(
            _CREATE_RULESET, struct.pack("@QQQ", 0, 0, _SCOPES), ctypes.c_size_t(24), 0
        )
        checked(c.syscall(_RESTRICT_SELF, rules, 0))
        os.close(rules)
    for filtering in map(bytes.fromhex, filters):
        program = ctypes.create_string_buffer(filtering, len(filtering))
        # struct sock_fprog: the number of instructions of 8 bytes, and where they are.
        fprog = struct.pack("@HP", len(filtering) // 8, ctypes.addressof(program))
        checked(c.prctl(_SET_SECCOMP, 2, fprog, 0, 0))


def checked(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def reseed() -> None:
    """What was drawn in the parent would be drawn in every child. os.urandom needs nothing; what
    else there is may register with os.register_at_fork."""
    random.seed()
    if (tls := sys.modules.get("ssl")) is not None:
        tls.RAND_add(os.urandom(32), 32)
    if (identifiers := sys.modules.get("uuid")) is not None:
        vars(identifiers)["_last_timestamp"] = None  # else uuid1 goes on from the parent's
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed()


def rename(env: dict[str, str]) -> None:
    """Show the actor's environment, not the parent's, where the kernel shows one: a worker finds a
    program that left its parents by it. As much of it as there was room for in the parent."""
    try:
        with open("/proc/self/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        begin, end = int(fields[47]), int(fields[48])
    except (OSError, IndexError, ValueError):
        return
    text = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
    size = end - begin
    ctypes.memmove(begin, text[: size - 1].ljust(size, b"\0"), size)


def run(told: Message, first: Message) -> None:
    env = told["env"]
    os.environ.clear()
    rename(env)
    os.environ.update(env)
    place({**first, "cwd": told["cwd"]})
    reseed()
    sys.argv = list(first["arguments"])
    sys.orig_argv = list(first["command"])
    if first["module"]:
        runpy.run_module(first["module"], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first["arguments"][0], run_name="__main__")


def main() -> None:
    made = serve(socket.socket(fileno=int(sys.argv[1])))
    if made is None:
        sys.stdout.flush()
        os._exit(0)
    line, first = made
    try:
        told = become(line)
    except OSError as error:
        sys.stderr.write(f"cannot enter the sandbox: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    run(told, first)


if __name__ == "__main__":
    main()
