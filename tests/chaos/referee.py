"""The referee: an actor's token is with one copy, and never goes back to one that lost it (P1)."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Referee:
    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._socket.settimeout(0.2)
        self._has: dict[str, str] = {}
        self._had: dict[str, set[str]] = {}
        self.shown = 0
        self.double: list[str] = []
        self._stop = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def judge(self, actor: str, copy: str) -> bool:
        """A copy is about to serve."""
        self.shown += 1
        before = self._has.get(actor)
        if before != copy:
            had = self._had.setdefault(actor, set())
            if copy in had:
                self.double.append(f"{actor}: {copy} serves after {before} did")
                return False
            if before is not None:
                had.add(before)
            self._has[actor] = copy
        return True

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._socket.accept()
            except TimeoutError:
                continue
            with client, contextlib.suppress(OSError):
                client.settimeout(5)
                actor, _, copy = client.recv(256).decode().strip().partition(" ")
                client.sendall(b"yes" if self.judge(actor, copy) else b"no")

    @contextlib.contextmanager
    def running(self) -> Iterator["Referee"]:
        thread = threading.Thread(target=self.run, name="referee")
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            self._socket.close()
