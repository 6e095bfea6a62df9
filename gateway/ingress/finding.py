"""Finding: the way of a request that could not go at once. It waits for a ticket (a wake, a thaw),
connects, and tries again where a way turned out to be stale. Most requests never make one.

One task of the relay does the waiting; it ends before the first byte goes out.
"""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.ingress.parts import Parts
from gateway.ingress.seams import Reason, Refusal, Ticket
from gateway.ingress.upstream import Upstream
from gateway.ingress.waitingpage import navigates

if TYPE_CHECKING:
    from gateway.ingress.exchange import Exchange

log = logging.getLogger(__name__)


class Finding:
    __slots__ = ("_deadline", "_exchange", "_parked", "_parts", "_task", "repeats")

    def __init__(self, exchange: "Exchange", parts: Parts) -> None:
        self._exchange = exchange
        self._parts = parts
        self._task: asyncio.Task[None] | None = None
        self._parked = -1
        """Bytes that parking counts as ours while we wait there."""
        self._deadline = exchange.started + (parts.settings.wake_s or 86_400.0)
        self.repeats = 0

    def __repr__(self) -> str:
        state = "parked" if self._parked >= 0 else "on its way" if self._task else "found"
        return f"<Finding {state}, {self.repeats} repeats>"

    def begin(self) -> None:
        actor = self._exchange.place.demand.actor
        self._task = self._parts.spawn(self._find(), f"way to {actor}")

    def cancel(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _find(self) -> None:
        exchange = self._exchange
        try:
            while True:
                if exchange.ticket is None:
                    exchange.board(await self._wait_for_ticket())
                    if exchange.has_ended:
                        return  # cut as it was given out
                assert exchange.ticket is not None
                connection = await self._connect(exchange.ticket)
                # Nothing awaits between here and the first byte: see Ticket.is_valid.
                if connection is not None and exchange.send(connection):
                    self._task = None
                    return
        except Refusal as refusal:
            self._task = None
            exchange.fail(refusal)
        except Exception:
            log.exception("a request could not be brought on its way")
            self._task = None
            exchange.fail(exchange.refusal(Reason.UNAVAILABLE, "something here went wrong"))

    async def _wait_for_ticket(self) -> Ticket:
        exchange, parking = self._exchange, self._parts.parking
        actor = exchange.place.demand.actor
        brought = exchange.brought
        why_not = parking.enter(actor, brought)
        if why_not is not None:
            raise exchange.refusal(Reason.QUEUE_FULL, why_not)
        self._parked = brought
        self._deadline = exchange.due(self._deadline)
        demand = replace(
            exchange.place.demand,
            request_id=exchange.request_id.decode("ascii"),
            navigates=navigates(exchange.head),
            deadline=self._deadline,
        )
        try:
            # The usher keeps the deadline; the second on top is for one that forgot.
            async with asyncio.timeout_at(self._deadline + 1.0):
                return await self._parts.usher.admit_waiting(demand)
        except TimeoutError:
            raise exchange.refusal(Reason.WAKING, "the actor did not wake in time") from None
        finally:
            parking.leave(actor, self._parked)
            self._parked = -1
            exchange.client.resume(exchange.client.CROWDED)

    async def _connect(self, ticket: Ticket) -> Upstream | None:
        connection = self._exchange.take(ticket)
        if connection is not None:
            return connection
        try:
            return await self._parts.upstreams.open(ticket)
        except OSError:  # refused, unreachable, or not in time: nobody saw a byte
            self.leave_way("refused")
            await asyncio.sleep(0.02 * self.repeats)
            return None

    def leave_way(self, cause: str) -> None:
        """The ticket's way is no good: hand it back, and go on unless that was often enough."""
        exchange = self._exchange
        ticket, exchange.ticket = exchange.ticket, None
        assert ticket is not None
        self._parts.usher.forget(exchange.place.demand, ticket)
        ticket.close()
        self.count_repeat(cause)

    def count_repeat(self, cause: str) -> None:
        """Raises Refusal when it was often enough, or too late."""
        self.repeats += 1
        if self.repeats > self._parts.settings.attempts or self._parts.time() > self._deadline:
            raise self._exchange.refusal(Reason.UNAVAILABLE, "the actor could not be reached")
        self._parts.meters.repeats[cause] += 1

    def hold_more(self, size: int) -> None:
        """More of the body came, perhaps while we wait for a ticket."""
        if self._parked < 0:
            return
        parking = self._parts.parking
        parking.hold(size)
        self._parked += size
        if not parking.has_room:
            # Until our own wait is over.
            self._exchange.client.pause(self._exchange.client.CROWDED)
