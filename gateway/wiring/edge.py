"""The edge's usher: a route cache in front of the waker, and a short way to actors of this process.

A route says which door had which copy of an actor. It may be stale: the door finds out before the
actor sees a byte, and `forget` makes the next look ask the worker instead of believing the table.
"""

import asyncio
import socket
import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.ingress.hop import hop_fields
from gateway.ingress.seams import Demand, Ticket, WakeReport
from gateway.wiring.refusals import refusal
from lifecycle.errors import LifecycleError, NotHere, WakeTimedOut
from lifecycle.failpoints import Point, reach
from lifecycle.host.door import Door, told
from lifecycle.host.gate import WakeTimes
from lifecycle.messages import Here
from lifecycle.trust import Address
from lifecycle.wake import Waker
from placement.changes import ActorChanged, Change, Resync
from placement.model import ActorId, ActorState

_MOST_ROUTES = 100_000


class DoorTarget:
    """Another worker's door."""

    __slots__ = ("_family", "sockaddr")

    def __init__(self, address: str) -> None:
        parsed = Address.parse(address)
        self.sockaddr: tuple[str, int] | str
        if parsed.is_unix:
            self._family, self.sockaddr = socket.AF_UNIX, parsed.path
        else:
            self._family = socket.AF_INET6 if ":" in parsed.host else socket.AF_INET
            self.sockaddr = (parsed.host, parsed.port)

    def open_socket(self) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_STREAM)
        made.setblocking(False)
        if self._family is not socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class HopTicket:
    """A way to another door. That door gives out the ticket that counts, so this one holds nothing
    and is shared by all requests of its route."""

    __slots__ = ("hop_fields", "pool_key", "target", "wake")

    is_hop = True

    def __init__(
        self, target: DoorTarget, fields: bytes, wake: WakeReport | WakeTimes | None = None
    ) -> None:
        self.target = target
        self.pool_key = target.sockaddr
        self.hop_fields = fields
        self.wake = wake

    def is_valid(self) -> bool:
        return True

    def touch(self) -> None:
        pass

    def on_cut(self, cut: Callable[[], None]) -> None:
        pass

    def close(self) -> None:
        pass


class Route:
    __slots__ = ("_actor", "_here", "_key", "_target", "_tickets")

    def __init__(self, actor: ActorId, here: Here, target: DoorTarget, key: str | None) -> None:
        self._actor, self._here, self._target, self._key = actor, here, target, key
        self._tickets: dict[str, HopTicket] = {}

    @property
    def uid(self) -> str:
        return self._here.uid

    @property
    def epoch(self) -> int:
        return self._here.epoch

    def ticket(self, port: str) -> HopTicket:
        found = self._tickets.get(port)
        if found is None:
            if len(self._tickets) > 64:
                self._tickets.clear()
            found = self._tickets[port] = HopTicket(self._target, self._fields(port))
        return found

    def woken(self, port: str, waited_ms: float) -> HopTicket:
        wake = WakeTimes("cold", told(self._here.phases, waited_ms))
        return HopTicket(self._target, self._fields(port), wake)

    def _fields(self, port: str) -> bytes:
        return hop_fields(self._actor, uid=self.uid, epoch=self.epoch, port=port, key=self._key)


class EdgeUsher:
    def __init__(
        self,
        waker: Waker,
        *,
        local: Door | None = None,
        local_worker: str = "",
        hop_key: str | None = None,
        most_routes: int = _MOST_ROUTES,
    ) -> None:
        self._waker = waker
        self._local = local
        self._local_worker = local_worker
        self._hop_key = hop_key
        self._most = most_routes
        self._routes: OrderedDict[ActorId, Route] = OrderedDict()
        self._targets: dict[str, DoorTarget] = {}
        self._distrusted: set[ActorId] = set()

    def __repr__(self) -> str:
        return f"<EdgeUsher {len(self._routes)} routes, {len(self._distrusted)} distrusted>"

    def admit(self, demand: Demand) -> Ticket | None:
        if self._local is not None:
            try:
                ticket = self._local.admit(demand.actor, demand.port, quiet=demand.is_quiet)
            except LifecycleError as error:
                raise refusal(error, demand.actor, demand.request_id) from error
            if ticket is not None:
                return ticket
        route = self._routes.get(demand.actor)
        return None if route is None else route.ticket(demand.port)

    async def admit_waiting(self, demand: Demand) -> Ticket:
        try:
            return await self._find(demand)
        except LifecycleError as error:
            raise refusal(error, demand.actor, demand.request_id) from error

    async def _find(self, demand: Demand) -> Ticket:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        actor = demand.actor
        while True:
            ticket = await self._at_home(demand)
            if ticket is not None:
                return ticket
            reach(Point.GATEWAY_RESOLVE)
            here = await self._waker.find(
                actor,
                deadline=demand.deadline,
                request_id=demand.request_id,
                distrust=actor in self._distrusted,
            )
            reach(Point.GATEWAY_FORWARD)
            self._distrusted.discard(actor)
            waited_ms = (time.monotonic() - began) * 1000
            if self._local is not None and here.worker == self._local_worker:
                ticket = self._local.admit(actor, demand.port)
                if ticket is None:
                    # Shut again already, or the table still names us for a copy that is gone.
                    self._distrust(actor)
                    if loop.time() >= demand.deadline:
                        raise WakeTimedOut(f"{actor} did not open in time", actor=actor)
                    await asyncio.sleep(0)
                    continue
                if here.phases.total:
                    ticket.wake = WakeTimes("cold", told(here.phases, waited_ms))
                return ticket
            route = self._remember(actor, here)
            return (
                route.woken(demand.port, waited_ms)
                if here.phases.total
                else route.ticket(demand.port)
            )

    async def _at_home(self, demand: Demand) -> Ticket | None:
        """From our own worker, when it has the actor in whatever state; None when it has not."""
        if self._local is None:
            return None
        try:
            return await self._local.admit_waiting(
                demand.actor, port=demand.port, deadline=demand.deadline
            )
        except NotHere:
            return None

    def _remember(self, actor: ActorId, here: Here) -> Route:
        target = self._targets.get(here.door)
        if target is None:
            if len(self._targets) >= self._most:
                self._targets.clear()  # of doors that were: each start of a worker may be another
            target = self._targets[here.door] = DoorTarget(here.door)
        route = self._routes[actor] = Route(actor, here, target, self._hop_key)
        self._routes.move_to_end(actor)
        if len(self._routes) > self._most:
            self._routes.popitem(last=False)
        return route

    def _distrust(self, actor: ActorId) -> None:
        if len(self._distrusted) >= self._most:
            # Of actors that nobody asked for again. Believing the table costs them one hop.
            self._distrusted.clear()
        self._distrusted.add(actor)

    def forget(self, demand: Demand, ticket: Ticket) -> None:
        reach(Point.GATEWAY_RETRY)
        self._distrust(demand.actor)
        route = self._routes.get(demand.actor)
        # Only the route that was tried: another request may have found a newer one meanwhile.
        if route is not None and ticket.hop_fields == route.ticket(demand.port).hop_fields:
            del self._routes[demand.actor]

    def heard(self, change: Change) -> None:
        """From the feed: a hint that a route is over."""
        if isinstance(change, Resync):
            self._routes.clear()
        elif isinstance(change, ActorChanged):
            route = self._routes.get(change.actor)
            if route is not None and (
                change.state is not ActorState.RUNNING
                or (change.uid, change.epoch) != (route.uid, route.epoch)
            ):
                del self._routes[change.actor]
