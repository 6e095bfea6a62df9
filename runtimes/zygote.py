"""One zygote as the worker sees it: a process that has imported a template's modules, and forks.

What it says is believed only as far as it harms nobody but its own template's actors: who a child
is, and where, the kernel tells (delivery).
"""

import asyncio
import collections
import contextlib
import json
import os
import socket
import struct
from pathlib import Path

from runtimes.base import Exit, RuntimeFailure
from runtimes.cradle import LARGEST, Message, send
from runtimes.procfs import Pid

FORK_S = 5.0
EXIT_S = 2.0
"""A zygote tells at once; one that is forking just now, a little later."""
MOST_EXITS = 4096
"""Of children that ended and were not asked for yet."""


class Stale(Exception):
    """A file of what it imported has changed since; the message names it."""


class Zygote:
    """`<Zygote demo/web, 12 forked>`. Its control socket is read in the event loop."""

    def __init__(self, template: str, control: socket.socket, process: Pid) -> None:
        self.template = template
        self.process = process
        self.forked = 0
        self.used_at = 0.0
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._asked: collections.deque[asyncio.Future[None]] = collections.deque()
        self._exits: collections.OrderedDict[int, asyncio.Future[Exit]] = collections.OrderedDict()
        control.setblocking(False)
        self._loop.add_reader(control, self._readable)

    def __repr__(self) -> str:
        return f"<Zygote {self.template}, {self.forked} forked>"

    @property
    def is_alive(self) -> bool:
        return not self.gone.done()

    def begin(self, message: Message) -> None:
        self._say(message)

    def why_not_forkable(self) -> str:
        """Read of the kernel, from outside: what a fork would carry along or leave behind."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        except OSError:
            return "it is gone"
        return forkable(status, maps)

    async def fork(self) -> socket.socket:
        """The worker's end of a new child's line. Raises Stale, RuntimeFailure."""
        mine, theirs = socket.socketpair()
        try:
            # By this the kernel says, with each message, which process it is from.
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            asked: asyncio.Future[None] = self._loop.create_future()
            self._asked.append(asked)
            with theirs:
                self._say({"fork": True}, (theirs.fileno(),))
            async with asyncio.timeout(FORK_S):
                await asked
        except TimeoutError as error:
            mine.close()
            self.close()  # it stands in the way of all that come after
            raise RuntimeFailure(
                f"the parent of {self.template} does not fork", retryable=True
            ) from error
        except BaseException:
            mine.close()
            raise
        self.forked += 1
        self.used_at = self._loop.time()
        return mine

    async def exit_of(self, pid: int) -> Exit:
        """How its child `pid` ended, which it did. Nothing is known when the zygote is gone."""
        future = self._exit(pid)
        if not self.is_alive and not future.done():
            future.set_result(Exit())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXIT_S):
                await asyncio.shield(future)
        # A cancelled asker leaves it for the next.
        self._exits.pop(pid, None)
        return future.result() if future.done() else Exit()

    def born(self, pid: int) -> None:
        """This number is a living child's now: what was heard of an earlier one is of another.
        Any thread."""
        self._exits.pop(pid, None)

    def retire(self) -> None:
        """Fork no more; end when its last child has."""
        self._say({"retire": True})

    def close(self) -> None:
        """Done twice is done once. It ends by its closed control socket, if it still can."""
        if self._control.fileno() < 0:
            return
        self._loop.remove_reader(self._control)
        self._control.close()
        error = RuntimeFailure(f"the parent of {self.template} ended", retryable=True)
        for future in (self.ready, *self._asked):
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen: nobody may be waiting
        for exit_ in self._exits.values():
            if not exit_.done():
                exit_.set_result(Exit())
        if not self.gone.done():
            self.gone.set_result(None)

    def _exit(self, pid: int) -> asyncio.Future[Exit]:
        if pid not in self._exits:
            self._exits[pid] = self._loop.create_future()
        return self._exits[pid]

    def _say(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        try:
            send(self._control, message, fds)
        except OSError as error:
            self.close()
            raise RuntimeFailure(f"the parent of {self.template} ended", retryable=True) from error

    def _readable(self) -> None:
        try:
            data = self._control.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        while len(self._received) >= 4:
            (size,) = struct.unpack("!I", self._received[:4])
            if size > LARGEST:
                self.close()
                return
            if len(self._received) < 4 + size:
                return
            body, self._received = self._received[4 : 4 + size], self._received[4 + size :]
            try:
                message = json.loads(body)
                if not isinstance(message, dict):
                    raise TypeError(type(message).__name__)
                self._hear(message)
            except (ValueError, TypeError):
                self.close()  # nonsense: its modules meddle
                return

    def _hear(self, message: Message) -> None:
        if "ended" in message:
            for pid, code in message["ended"]:
                self._heard_end(int(pid), int(code))
        elif "ready" in message:
            if not self.ready.done():
                self.ready.set_result(None)
        elif "failed" in message:
            if not self.ready.done():
                self.ready.set_exception(RuntimeFailure(str(message["failed"])[:500]))
                self.ready.exception()
        elif self._asked:
            asked = self._asked.popleft()
            if asked.done():
                return  # who asked gave up; the child sees its line closed
            if "stale" in message:
                asked.set_exception(Stale(str(message["stale"])[:200]))
            else:
                asked.set_result(None)

    def _heard_end(self, pid: int, code: int) -> None:
        future = self._exit(pid)
        if not future.done():
            future.set_result(Exit(code=code) if code >= 0 else Exit(signal=-code))
        while len(self._exits) > MOST_EXITS:
            self._exits.popitem(last=False)


def forkable(status: str, maps: str) -> str:
    """Empty, or why a process with this /proc/PID/status and maps must not be forked."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if (threads := int(fields.get("Threads", "1"))) != 1:
        return (
            f"it has {threads} threads after the imports, and a fork takes only one of them along "
            "(numpy: env OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1)"
        )
    for line in maps.splitlines():
        words = line.split(maxsplit=5)
        if len(words) > 1 and words[1][1] == "w" and words[1][3] == "s":
            what = words[5] if len(words) > 5 else "without a name"
            return f"memory that all its children would share: {what[:200]}"
    return ""


def environment_room() -> dict[str, str]:
    """Room in which a child shows its own environment (cradle.rename)."""
    return {"ROUSE_ROOM": "." * 4096} if os.name == "posix" else {}
