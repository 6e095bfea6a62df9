"""Ports of the machine's loopback for actors without a network of their own, one each.

A port is reserved by an abstract unix socket that carries its number: the kernel keeps those per
network namespace, which is exactly where a TCP port must be unique, lets one process have a name,
and frees it however that process ends. After use it stays reserved for a while, so that an
address somebody still remembers reaches nobody rather than another actor (A28).
"""

import errno
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runtimes.base import RuntimeFailure

FIRST, LAST = 20_000, 32_000
COOL_DOWN_S = 120.0


class Ports:
    """Gives out ports and takes them back. `<Ports 3 held, 2 cooling>`"""

    def __init__(
        self,
        first: int = FIRST,
        last: int = LAST,
        *,
        cool_down_s: float = COOL_DOWN_S,
        clock: Callable[[], float] = time.monotonic,
        seed: int | None = None,
    ) -> None:
        self._first, self._last = _outside_ephemeral(first, last)
        self._cool_down_s = cool_down_s
        self._clock = clock
        # Two workers of one machine begin at different places and so seldom meet.
        self._next = random.Random(seed).randrange(self._first, self._last)
        self._held: dict[int, int | None] = {}
        """Port -> descriptor of its mark; None where there are no marks."""
        self._cooling: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<Ports {len(self._held) - len(self._cooling)} held, {len(self._cooling)} cooling>"

    def take(self) -> int:
        """A port that nobody has and nobody had lately. Raises RuntimeFailure when none is."""
        self._let_go_of_cooled()
        for _ in range(self._last - self._first):
            port = self._next
            self._next = self._first + (port + 1 - self._first) % (self._last - self._first)
            if self._is_free(port) and self.hold(port):
                return port
        raise RuntimeFailure("no free port is left for actors on this machine", retryable=True)

    def hold(self, port: int) -> bool:
        """Reserve this very port (a re-attached actor has it already); False when another has."""
        if port in self._held:
            return False
        if sys.platform != "linux":
            self._held[port] = None
            return True
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            mark.bind(f"\0rouse-port-{port}")
        except OSError as error:
            mark.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._held[port] = mark.detach()
        return True

    def release(self, port: int) -> None:
        """Its actor is gone: reserved still, until it has cooled. Done twice is done once."""
        if port in self._held:
            self._cooling.setdefault(port, self._clock() + self._cool_down_s)

    def close(self) -> None:
        for mark in self._held.values():
            if mark is not None:
                os.close(mark)
        self._held.clear()
        self._cooling.clear()

    def _let_go_of_cooled(self) -> None:
        now = self._clock()
        for port in [port for port, until in self._cooling.items() if until <= now]:
            del self._cooling[port]
            if (mark := self._held.pop(port)) is not None:
                os.close(mark)

    def _is_free(self, port: int) -> bool:
        if port in self._held:
            return False
        # All addresses and no SO_REUSEADDR: a listener on any of them, or a connection that the
        # kernel still remembers, makes it not free.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            try:
                trial.bind(("", port))
            except OSError:
                return False
        return True


def _outside_ephemeral(first: int, last: int) -> tuple[int, int]:
    """The part of the range from which the kernel gives no port to outgoing connections."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        low, high = (int(word) for word in text.split())
    except (OSError, ValueError):
        return first, last
    if last < low or first > high:
        return first, last
    if low - first >= 1_000:
        return first, low
    # Someone widened the kernel's range over ours; above it there may be room, else we share it.
    return (high + 1, 65_535) if high <= 64_000 else (first, last)
