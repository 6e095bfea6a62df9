"""The gate of one actor at this worker's door: who is in (tickets), who waits, and since when idle.

No I/O. The residence opens and shuts it; the relay takes and closes tickets. A ticket taken keeps
the actor from being frozen or suspended until it is closed (P4).
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from lifecycle.errors import NoSuchPort, QueueFull
from placement.tenure import boot_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from placement.model import ActorId
    from placement.tenure import Tenure
    from runtimes.base import Endpoint


class WakeTimes:
    """What one caller's wait was spent on; `kind` is `cold` or `thaw`, phases in milliseconds."""

    __slots__ = ("kind", "phases")

    def __init__(self, kind: str, phases: tuple[tuple[str, float], ...]) -> None:
        self.kind = kind
        self.phases = phases


class ActorTicket:
    """One open request on an actor that runs here."""

    __slots__ = ("_asked", "_cut", "_gate", "is_quiet", "pool_key", "target", "wake")

    hop_fields = b""
    is_hop = False

    def __init__(
        self, gate: "Gate", target: "Endpoint", pool_key: object, is_quiet: bool = False
    ) -> None:
        self._gate: Gate | None = gate
        self._asked = 0
        self._cut: Callable[[], None] | None = None
        self.target = target
        self.pool_key = pool_key
        self.wake: WakeTimes | None = None
        self.is_quiet = is_quiet
        """It holds the actor while it is open, but does not count as activity."""

    def is_valid(self) -> bool:
        """Asked before the first byte to the actor, and before the head of its answer."""
        self._asked += 1
        gate = self._gate
        return gate is not None and gate.may_serve()

    def touch(self) -> None:
        if self._gate is not None and not self.is_quiet:
            self._gate.touch()

    def on_cut(self, cut: Callable[[], None]) -> None:
        self._cut = cut

    def cut(self) -> None:
        if self._cut is not None:
            self._cut()

    def close(self) -> None:
        gate, self._gate, self._cut = self._gate, None, None
        if gate is not None:
            if self._asked > 1:
                gate.unanswered = 0
            else:
                gate.unanswered += self._asked
            gate.give_back(self)


class Gate:
    """Shut when made. `may_serve` is asked before every first byte either way."""

    __slots__ = (
        "_clock",
        "_endpoints",
        "_opened",
        "_slug",
        "_stir",
        "_tickets",
        "_ways",
        "actor",
        "calls",
        "cut_calls",
        "doubted_until",
        "is_open",
        "is_running",
        "last_active",
        "queue",
        "tenure",
        "unanswered",
        "waiting",
    )

    def __init__(
        self,
        actor: "ActorId",
        *,
        clock: Callable[[], float],
        stir: Callable[[], None],
    ) -> None:
        self.actor = actor
        self.is_open = False
        self.waiting = 0
        self.unanswered = 0
        """Requests in a row that reached the actor and ended without the head of an answer."""
        self.queue = 256
        """Callers that may wait at once; the template says how many."""
        self.is_running = False
        """Its program runs and is not being suspended."""
        self.tenure: Tenure | None = None
        """Of the incarnation that claimed this copy. A worker that lost it may have another one
        before this copy's task takes notice; by then somebody else may own the actor (P1)."""
        self.doubted_until: float | None = None
        """The table may have forgotten us: on `boot_time`, how long that may wait."""
        self._clock = clock
        self._stir = stir
        self._tickets: set[ActorTicket] = set()
        self._opened = asyncio.Event()
        self._endpoints: Mapping[str, Endpoint] = {}
        self._ways: dict[str, tuple[Endpoint, object]] = {}
        """By port as asked for: where it leads, and the key of connections to there."""
        self._slug = ""
        self.last_active = clock()
        self.calls = 0
        """Open calls of the actor to the outside."""
        self.cut_calls: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        state = "open" if self.is_open else "shut"
        open_ones = f"{len(self._tickets)} tickets, {self.calls} calls"
        return f"<Gate of {self.actor}: {state}, {open_ones}, {self.waiting} wait>"

    @property
    def tickets(self) -> int:
        return len(self._tickets)

    def may_serve(self) -> bool:
        """Does this worker own the actor at this moment, and run it?"""
        if not self.is_running or self.tenure is None:
            return False
        now = boot_time()
        return self.tenure.lasts(now) and (self.doubted_until is None or now < self.doubted_until)

    def lead_to(self, slug: str, endpoints: "Mapping[str, Endpoint]") -> None:
        """The copy that tickets lead to from now on; its main port is the first endpoint."""
        self._slug, self._endpoints = slug, endpoints
        self._ways.clear()

    def open(self) -> None:
        self.is_open = True
        self.last_active = self._clock()
        self._opened.set()

    def shut(self) -> None:
        self.is_open = False
        self._opened.clear()

    def let_go(self) -> None:
        """The residence has ended: whoever waits looks again for where the actor is."""
        self.is_open = False
        self._opened.set()

    def touch(self) -> None:
        self.last_active = self._clock()

    def take(self, port: str, quiet: bool = False) -> ActorTicket | None:
        """A ticket now, or None when the gate is shut or the worker's lease is over."""
        if not self.is_open or not self.may_serve():
            return None
        way = self._ways.get(port)
        if way is None:
            endpoint = self._endpoint(port)
            way = self._ways[port] = (endpoint, (self._slug, endpoint.port))
        ticket = ActorTicket(self, way[0], way[1], quiet)
        self._tickets.add(ticket)
        return ticket

    def _endpoint(self, port: str) -> "Endpoint":
        if not port:
            return next(iter(self._endpoints.values()))
        found = self._endpoints.get(port)
        if found is None and port.isdigit():
            # By number: what the template declares, which is what the program was told to open.
            number = int(port)
            found = next((e for e in self._endpoints.values() if e.declared == number), None)
        if found is None:
            raise NoSuchPort(f"{self.actor} declares no port {port}", actor=self.actor)
        return found

    async def wait_open(self, deadline: float) -> None:
        """Return when the gate opened or was let go. Raises QueueFull, TimeoutError (loop time)."""
        if self.waiting >= self.queue:
            raise QueueFull(
                f"{self.waiting} requests already wait for {self.actor}", actor=self.actor
            )
        self.waiting += 1
        self._stir()
        try:
            async with asyncio.timeout_at(deadline):
                await self._opened.wait()
                # Where it was open all along, who waits in a loop must still let others go on.
                await asyncio.sleep(0)
        finally:
            self.waiting -= 1
            self._stir()

    def give_back(self, ticket: ActorTicket) -> None:
        self._tickets.discard(ticket)
        if not ticket.is_quiet:
            self.last_active = self._clock()
        if not self._tickets:
            self._stir()

    def begin_call(self) -> None:
        """The actor asks something of the outside: until `end_call` it is awake (P5)."""
        self.calls += 1
        self.last_active = self._clock()
        self._stir()

    def end_call(self) -> None:
        self.calls -= 1
        self.last_active = self._clock()
        if not self.calls:
            self._stir()

    def cut_all(self) -> int:
        """End every open ticket and call now; returns how many there were."""
        tickets, calls = list(self._tickets), self.calls
        for ticket in tickets:
            ticket.cut()
        self.cut_calls()
        return len(tickets) + calls


def _nothing() -> None:
    """Nobody carries calls."""
