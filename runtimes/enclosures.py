"""The worker's side of `enclosing`: asks for sandboxes that a zygote may enter."""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import runtimes
from runtimes import userns
from runtimes.base import RuntimeFailure
from runtimes.cradle import Message, receive, send
from runtimes.enclosing import SHOWN_AT
from runtimes.spawn import spawn

ANSWER_S = 10.0


def at(number: int) -> str:
    return f"{SHOWN_AT}/{number}"


class Enclosures:
    """One helper process, begun when it is first needed and anew when it died. Any thread."""

    def __init__(self, users: userns.UserNamespace) -> None:
        self._users = users
        self._line: socket.socket | None = None
        self._helper = 0
        self._turn = threading.Lock()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        owner: int,
        user: int,
        output: int,
        keep: Sequence[int],
        shown: Sequence[str],
    ) -> int:
        """The pid of `argv` in a new user namespace of two users (numbers in ours): `owner`, who is
        0 in it, and `user`. It has the descriptors `keep` at the same numbers, and finds each
        directory of `shown` at `at(its number)`. Blocks. Raises RuntimeFailure."""
        places = (1, 2, *keep)
        message = {"argv": list(argv), "owner": owner, "user": user, "places": places}
        return self._ask({**message, "shown": list(shown)}, (output, output, *keep))

    def close(self) -> None:
        with self._turn:
            self._drop()

    def _ask(self, message: Message, fds: Sequence[int]) -> int:
        with self._turn:
            line = self._line or self._begin()
            try:
                send(line, message, tuple(fds))
                got = receive(line)
                if got is None:
                    raise ConnectionResetError("its maker ended")
            except OSError as error:
                self._drop()  # the next one begins it anew
                raise RuntimeFailure(f"no sandbox for a fork: {error}", retryable=True) from error
        answer = got[0]
        if "failed" in answer:
            raise RuntimeFailure(f"no sandbox for a fork: {answer['failed']}")
        return int(answer["pid"])

    def _begin(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        mine.settimeout(ANSWER_S)
        with theirs:
            fds = (theirs.fileno(), self._users.fd)
            self._helper = spawn(
                [sys.executable, "-S", "-m", "runtimes.enclosing", *(str(fd) for fd in fds)],
                env={"PYTHONPATH": str(Path(next(iter(runtimes.__path__))).parent)},
                cwd=Path("/"),
                output=2,
                keep=fds,
            )
        self._line = mine
        return mine

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()  # the helper ends by it
            self._line = None
        if self._helper:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._helper, os.WNOHANG)
            self._helper = 0

    def __del__(self) -> None:
        self._drop()
