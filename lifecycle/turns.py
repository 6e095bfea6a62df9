"""Turns: who may ask for a slot next while there is none. Namespaces come in turn, and within one
the searches in the order they came, so that one tenant's herd does not starve another.

No clock: how long one waits is the caller's.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lifecycle.errors import QueueFull

AT_ONCE = 8
"""Searches that ask at the same time. All of them would keep the workers busy with saying no."""
MOST = 4096
"""Searches of one gateway that wait. A namespace may have as many as are left free by then, so
that however many come to one there is room for the others."""
_PAUSE_S = (0.01, 0.25)
"""After an answer that there is no room: at first, and when nothing but those comes."""


class Turns:
    def __init__(self, *, at_once: int = AT_ONCE, most: int = MOST) -> None:
        self._free = at_once
        self._most = most
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.waiting = 0
        self.pause_s = _PAUSE_S[0]
        """What the holder of a turn that found no room waits before it gives the turn back."""

    def __repr__(self) -> str:
        return f"<Turns {self.waiting} waiting of {len(self._lines)} namespaces>"

    async def take(self, namespace: str) -> None:
        """Return when it is this one's turn; `give_back` must follow. Raises QueueFull."""
        if self._free and not self.waiting:
            self._free -= 1
            return
        line = self._lines.get(namespace, ())
        if len(line) >= max(1, self._most - self.waiting):
            raise QueueFull(f"{len(line)} wakes of namespace {namespace} wait for a slot already")
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(namespace, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # it was ours in the moment we left
            else:
                self._leave(namespace, turn)
            raise

    def give_back(self, *, found_room: bool) -> None:
        self.pause_s = _PAUSE_S[0] if found_room else min(2 * self.pause_s, _PAUSE_S[1])
        self._pass_on()

    @asynccontextmanager
    async def place(self, namespace: str) -> AsyncIterator["Place"]:
        """For one search; whatever it holds at the end is given back."""
        place = Place(self, namespace)
        try:
            yield place
        finally:
            place.leave()

    def _pass_on(self) -> None:
        if not self._lines:
            self._free += 1
            return
        namespace, line = self._lines.popitem(last=False)
        turn = line.popleft()
        self.waiting -= 1
        if line:
            self._lines[namespace] = line  # at the end: the others come first
        if turn.done():
            return self._pass_on()  # cancelled, and its task has not run yet
        turn.set_result(None)

    def _leave(self, namespace: str, turn: "asyncio.Future[None]") -> None:
        line = self._lines.get(namespace)
        if line is None or turn not in line:
            return  # it was passed over meanwhile
        line.remove(turn)
        self.waiting -= 1
        if not line:
            del self._lines[namespace]


class Place:
    """One search among those that may have to wait."""

    def __init__(self, turns: Turns, namespace: str) -> None:
        self._turns = turns
        self._namespace = namespace
        self._is_held = False

    async def has_turn(self, until: float) -> bool:
        """Wait for it; False when `until` (loop time) came first. Raises QueueFull."""
        if self._is_held:
            return True
        try:
            async with asyncio.timeout_at(until):
                await self._turns.take(self._namespace)
        except TimeoutError:
            return False
        self._is_held = True
        return True

    async def no_room(self) -> None:
        """It was told that there is none: let the others try, after a pause that all share."""
        if not self._is_held:
            return
        await asyncio.sleep(self._turns.pause_s)
        self._is_held = False
        self._turns.give_back(found_room=False)

    def leave(self) -> None:
        if self._is_held:
            self._is_held = False
            self._turns.give_back(found_room=True)
