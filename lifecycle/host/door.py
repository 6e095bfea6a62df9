"""The worker's door: tickets for requests to the actors that are here.

`admit` is the warm path and awaits nothing. `admit_waiting` waits for a thaw, for a suspend that is
taken back, or for the wake that follows one; it never looks for the actor anywhere else.
"""

import asyncio
import time
from typing import TYPE_CHECKING

from lifecycle import errors
from lifecycle.errors import Fenced, LifecycleError, NotHere, WakeTimedOut
from lifecycle.host.gate import ActorTicket, WakeTimes
from lifecycle.messages import Full, Here, Phases, Refused, There, WakeAsk

if TYPE_CHECKING:
    from lifecycle.host.host import Host
    from lifecycle.host.residence import Residence
    from placement.model import ActorId


class Door:
    def __init__(self, host: "Host") -> None:
        self._host = host
        self._residents = host.residents

    def admit(
        self,
        actor: "ActorId",
        port: str = "",
        uid: str | None = None,
        epoch: int | None = None,
        quiet: bool = False,
    ) -> ActorTicket | None:
        """A ticket, or None when this needs waiting. Raises NoSuchPort, NotHere (another uid).
        A `quiet` one is no activity of the actor."""
        residence = self._residents.get(actor)
        if residence is None or not residence.gate.is_open:
            return None
        _check_route(residence, uid, epoch)
        return residence.gate.take(port, quiet)

    async def admit_waiting(
        self,
        actor: "ActorId",
        *,
        port: str = "",
        uid: str | None = None,
        epoch: int | None = None,
        deadline: float,
    ) -> ActorTicket:
        """A ticket by `deadline` (loop time). Raises LifecycleError; NotHere when it never was."""
        began = time.monotonic()
        kind = ""  # until it had to wait for something
        residence = self._residents.get(actor)
        if residence is None:
            raise NotHere(f"{actor} is not at this worker", actor=actor)
        while True:
            residence = self._residents.get(actor)
            if residence is None:
                # It was here when the request came and was suspended under its wait: wake it anew.
                await self._wake(actor, deadline)
                kind = "cold"
                continue
            if not residence.awake.done():
                await self._join(residence, deadline)
                kind = "cold"
                continue
            ticket = self._take(residence, port, None if kind == "cold" else uid, epoch)
            if ticket is not None:
                if kind:
                    total = (time.monotonic() - began) * 1000
                    ticket.wake = WakeTimes(kind, _told(kind, residence.phases, total))
                return ticket
            try:
                await residence.gate.wait_open(deadline)
            except TimeoutError:
                raise WakeTimedOut(f"{actor} did not open in time", actor=actor) from None
            kind = kind or "thaw"

    def _take(
        self, residence: "Residence", port: str, uid: str | None, epoch: int | None
    ) -> ActorTicket | None:
        if not self._host.has_lease():
            raise Fenced("this worker has no lease: the placement table is away")
        if not residence.claimed:
            return None
        if residence.gate.is_open and not residence.has_lease():
            raise Fenced(f"{residence.actor} is about to be claimed anew", actor=residence.actor)
        _check_route(residence, uid, epoch)
        return residence.gate.take(port)

    async def _wake(self, actor: "ActorId", deadline: float) -> None:
        wait_ms = int((deadline - asyncio.get_running_loop().time()) * 1000)
        answer = await self._host.wake(WakeAsk(actor=actor, wait_ms=max(wait_ms, 0)))
        match answer:
            case Here():
                return
            case There() | Full():
                raise NotHere(f"{actor} is not at this worker any more", actor=actor)
            case Refused():
                raise error_of(answer, actor)

    async def _join(self, residence: "Residence", deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                answer = await asyncio.shield(residence.awake)
        except TimeoutError:
            raise WakeTimedOut(
                f"{residence.actor} is still waking", actor=residence.actor
            ) from None
        if isinstance(answer, Refused):
            raise error_of(answer, residence.actor)
        if isinstance(answer, There):
            raise NotHere(f"{residence.actor} is at another worker", actor=residence.actor)


def _check_route(residence: "Residence", uid: str | None, epoch: int | None) -> None:
    """A route made for another actor of that name, or for a later epoch than ours, is not for this
    copy. An earlier epoch is: the same actor, woken here again since the route was made."""
    if uid is None and epoch is None:
        return
    record = residence.record
    if (uid is not None and uid != record.uid) or (epoch is not None and epoch > record.epoch):
        raise NotHere(f"{residence.actor} here is another copy", actor=residence.actor)


def _told(kind: str, phases: Phases, total: float) -> tuple[tuple[str, float], ...]:
    if kind == "thaw":
        return (("total", total),)
    return told(phases, total)


def told(phases: Phases, total: float) -> tuple[tuple[str, float], ...]:
    """The phases as one caller saw them: what it waited beyond (or joined late of) the wake's own
    steps is its queue time."""
    steps = phases.claim + phases.fetch + phases.restore + phases.ready
    return (
        ("total", total),
        ("queue", max(0.0, total - steps)),
        ("claim", phases.claim),
        ("fetch", phases.fetch),
        ("restore", phases.restore),
        ("ready", phases.ready),
    )


def error_of(refused: Refused, actor: "ActorId") -> LifecycleError:
    """The exception that a Refused names; an unknown name is our own mistake, told as away."""
    named = getattr(errors, refused.error, None)
    kind: type[LifecycleError] = errors.DependencyAway
    if isinstance(named, type) and issubclass(named, LifecycleError):
        kind = named
    error = kind(refused.message, actor=actor)
    if refused.retry_after_s is not None:
        error.retry_after_s = refused.retry_after_s
    return error
