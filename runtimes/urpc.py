"""Talk to a running gVisor sandbox by its control socket: one JSON object each way, and files.

What the `runsc` program does too, without starting a program of 80 MB for it (7 ms). It is no
public interface: the driver tries it at its fingerprint, with the version of runsc that is there.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtimes.base import RuntimeFailure

CHUNK_BYTES = 65_536
_ANSWER_LIMIT = 1 << 20


class CallRefused(RuntimeFailure):
    """The sandbox answered that it could not."""


async def call(path: Path, method: str, argument: object, files: Sequence[int] = ()) -> Any:
    """The sandbox's answer. Raises CallRefused; OSError when there is no such sandbox (any more).

    The caller sets the limit of time. Given up, the call may still be carried out.
    """
    loop = asyncio.get_running_loop()
    with connect(path) as peer:
        sent = ask(peer, method, argument, files)
        if rest := sent[1]:
            await loop.sock_sendall(peer, rest)
        answer = b""
        while chunk := await loop.sock_recv(peer, CHUNK_BYTES):
            answer += chunk
            if (found := read(answer)) is not None:
                return result(method, found)
    raise ConnectionResetError(f"the sandbox ended under {method}")


def asked(path: Path, method: str, within_s: float) -> asyncio.Future[Any]:
    """The answer to come, for a call that must not be given up half way: it comes, or fails, by
    itself, whoever waits for it. Raises OSError when there is no such sandbox."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    peer = connect(path)
    heard = bytearray()

    def is_over(error: Exception | None, value: Any = None) -> None:
        loop.remove_reader(peer.fileno())
        peer.close()
        timer.cancel()
        if answer.cancelled():
            return
        if error is None:
            answer.set_result(value)
        else:
            answer.set_exception(error)

    def readable() -> None:
        try:
            chunk = peer.recv(CHUNK_BYTES)
            heard.extend(chunk)
            found = read(bytes(heard))
            if found is not None:
                is_over(None, result(method, found))
            elif not chunk:
                is_over(ConnectionResetError(f"the sandbox ended under {method}"))
        except BlockingIOError:
            return
        except (OSError, RuntimeFailure) as error:
            is_over(error)

    timer = loop.call_later(within_s, lambda: is_over(TimeoutError()))
    try:
        # Some dozens of bytes, into an empty buffer: they go at once.
        ask(peer, method, None)
    except OSError:
        timer.cancel()
        peer.close()
        raise
    loop.add_reader(peer.fileno(), readable)
    return answer


def connect(path: Path) -> socket.socket:
    """A non-blocking connection, made at once: the other end need not accept it first."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        peer.connect(str(path))
    except BaseException:
        peer.close()
        raise
    return peer


def ask(
    peer: socket.socket, method: str, argument: object, files: Sequence[int] = ()
) -> tuple[int, bytes]:
    """Send a call; how much of it went, and what did not. Files go with its first byte."""
    text = json.dumps({"method": method, "arg": argument}).encode()
    gone = socket.send_fds(peer, [text], list(files)) if files else peer.send(text)
    return gone, text[gone:]


def read(answer: bytes) -> dict[str, Any] | None:
    """The object, once it is whole."""
    try:
        found = json.loads(answer)
    except ValueError:
        if len(answer) > _ANSWER_LIMIT:
            raise CallRefused("the sandbox answers without end") from None
        return None
    return found if isinstance(found, dict) else {}


def result(method: str, answer: dict[str, Any]) -> Any:
    if not answer.get("success"):
        raise CallRefused(f"{method.rpartition('.')[2]}: {str(answer.get('err'))[:500]}")
    return answer.get("result")


class Ending:
    """How a sandbox's program ended, asked while it runs: the sandbox tells its exit status to
    nobody but who waits for it then. `status` is None when it ended without a word (killed)."""

    def __init__(self, path: Path, container: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer = b""
        self._peer: socket.socket | None = None
        self.status: asyncio.Future[int | None] = self._loop.create_future()
        try:
            self._peer = connect(path)
            ask(self._peer, "containerManager.Wait", container)
        except OSError:
            self.close()
            return
        self._loop.add_reader(self._peer.fileno(), self._readable)

    def close(self) -> None:
        """Stop asking. Done twice is done once."""
        peer, self._peer = self._peer, None
        if peer is not None:
            self._loop.remove_reader(peer.fileno())
            peer.close()
        if not self.status.done():
            self.status.set_result(None)

    def _readable(self) -> None:
        assert self._peer is not None
        try:
            chunk = self._peer.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._answer += chunk
        found = read(self._answer) if chunk else {}
        if found is None:
            return
        status = found.get("result") if found.get("success") else None
        if isinstance(status, int):
            self.status.set_result(status)
        self.close()


def exit_of(status: int) -> tuple[int | None, int | None]:
    """Exit code and signal of a wait status (wait(2))."""
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)


def is_there(path: Path) -> bool:
    with contextlib.suppress(OSError), connect(path):
        return True
    return False
