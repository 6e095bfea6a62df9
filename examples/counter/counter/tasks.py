"""Tasks: generators that take turns on one thread, so that no number of callers costs a thread.

A task yields what it waits for: `readable(socket)`, `writable(socket)`, `after(seconds)`, or None
to let the others have a turn. asyncio would do, and takes longer to import than all of this.
"""

from __future__ import annotations

import heapq
import selectors
import time
from collections import deque


def readable(sock):
    return (selectors.EVENT_READ, sock)


def writable(sock):
    return (selectors.EVENT_WRITE, sock)


def after(seconds):
    return (None, seconds)


class Tasks:
    """Runs tasks until it is told to stop and they have ended, or its patience has."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._ready = deque()
        self._sleeping = []
        self._born = 0
        self._waiting = {}
        self._patience_ends = None

    def __repr__(self):
        return (
            f"<Tasks {len(self._ready)} ready, {len(self._sleeping)} asleep,"
            f" {len(self._waiting)} on sockets>"
        )

    def start(self, task):
        self._ready.append(task)

    def stop(self, patience):
        """End when no task is left, in `patience` seconds at the latest."""
        self._patience_ends = time.monotonic() + patience

    def forsake(self, task):
        """End a task that waits on a socket."""
        sock = self._waiting.pop(task, None)
        if sock is not None:
            self._selector.unregister(sock)
        task.close()

    def run(self):
        while self._is_going_on():
            for key, _ in self._selector.select(self._next_turn()):
                self._selector.unregister(key.fileobj)
                del self._waiting[key.data]
                self._ready.append(key.data)
            now = time.monotonic()
            while self._sleeping and self._sleeping[0][0] <= now:
                self._ready.append(heapq.heappop(self._sleeping)[2])
            # Only those that are ready now: what they start has its turn after a look at sockets.
            for _ in range(len(self._ready)):
                self._step(self._ready.popleft())

    def _is_going_on(self):
        if self._patience_ends is None:
            return True
        left = self._ready or self._sleeping or self._waiting
        return bool(left) and time.monotonic() < self._patience_ends

    def _next_turn(self):
        if self._ready:
            return 0
        ends = [] if self._patience_ends is None else [self._patience_ends]
        if self._sleeping:
            ends.append(self._sleeping[0][0])
        return max(0, min(ends) - time.monotonic()) if ends else None

    def _step(self, task):
        try:
            wish = next(task)
        except StopIteration:
            return
        if wish is None:
            self._ready.append(task)
            return
        event, on = wish
        if event is None:
            self._born += 1
            heapq.heappush(self._sleeping, (time.monotonic() + on, self._born, task))
        else:
            self._selector.register(on, event, task)
            self._waiting[task] = on
