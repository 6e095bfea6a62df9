"""The life of one actor on this worker, from its claim to its end: the one task that acts on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lifecycle.errors import ActorBusy, Fenced
from lifecycle.host import sleeping, waking
from lifecycle.host.reaper import Cause, Do, decide
from lifecycle.host.residence import LeaseLost, Phase, Residence, Superseded

log = logging.getLogger(__name__)

_CUT_WAIT_S = 5.0
"""After a forced suspend cut the open tickets: how long the relay may take to close them."""


async def live(r: Residence, begin: Callable[[Residence], Awaitable[bool]] = waking.wake) -> None:
    """From `begin` (a wake, or the recovery of a copy left behind) to the end.

    Never raises but for cancellation: who waits learns by the futures.
    """
    is_over = False
    try:
        if await begin(r):
            await _reside(r)
        is_over = True
    except Exception:
        log.exception("residence broke", extra={"actor": str(r.actor)})
    finally:
        r.phase = Phase.GONE
        await asyncio.shield(_leave(r, is_over=is_over))


async def _leave(r: Residence, *, is_over: bool) -> None:
    """Whatever happened: no process, nobody left waiting. Of a worker that is stopped without a
    drain (or a mistake of ours) the files stay: the next start finds and saves them."""
    try:
        await r.end_sandbox()
        if is_over and r.copy is not None:
            await asyncio.to_thread(r.copy.remove)
    except Exception:
        log.exception("copy not ended", extra={"actor": str(r.actor)})
    finally:
        gone = Fenced(f"{r.actor} left this worker", actor=r.actor)
        r.settle_order(gone)
        if not r.awake.done():
            r.awake.set_result(None)
        r.owner.freed(r.actor)
        r.gate.let_go()
        r.ended.set()


async def _reside(r: Residence) -> None:
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch_exit(r), name=f"exit of {r.actor}")
        try:
            while not await _step(r):
                pass
        finally:
            watch.cancel()


async def _watch_exit(r: Residence) -> None:
    if r.handle is not None and r.exit is None:
        r.exit = await r.driver.wait(r.handle)
        r.stir()


async def _step(r: Residence) -> bool:
    """One decision carried out; True when the actor is no longer here."""
    try:
        if not r.owner.has_lease():
            await _regain(r)
            return False
        if r.exit is not None:
            return await sleeping.after_exit(r)
        step = decide(r.view(), r.rules())
        match step.do:
            case Do.WAIT:
                await _wait(r, step.until)
            case Do.THAW:
                await r.serve_again()
            case Do.FREEZE:
                await _freeze_if_idle(r)
            case Do.CUT:
                await _cut(r)
            case Do.REFUSE:
                await _refuse_order(r)
            case Do.SUSPEND:
                return await _suspend(r)
    except LeaseLost:
        log.warning("lease ended under a write", extra={"actor": str(r.actor)})
    except Superseded as error:
        # Another owner's word is in the table: whatever we hold is nobody's (P1).
        log.warning("copy discarded", extra={"actor": str(r.actor), "why": str(error)})
        return True
    return False


async def _wait(r: Residence, until: float | None) -> None:
    """Until something stirs. Nothing is awaited between the decision and the clear, so no stir
    is lost."""
    r.stirred.clear()
    try:
        async with asyncio.timeout_at(until):
            await r.stirred.wait()
    except TimeoutError:
        pass


async def _freeze_if_idle(r: Residence) -> None:
    if await r.is_computing():
        r.gate.touch()
        return
    if r.exit is not None or decide(r.view(), r.rules()).do is not Do.FREEZE:
        return  # somebody came while we looked at the CPU
    r.gate.shut()
    r.phase = Phase.FROZEN
    await r.freeze()


async def _cut(r: Residence) -> None:
    count = r.gate.cut_all()
    log.warning("requests cut", extra={"actor": str(r.actor), "count": count})
    deadline = r.clock() + _CUT_WAIT_S
    while r.gate.tickets and r.clock() < deadline:
        await _wait(r, deadline)


async def _refuse_order(r: Residence) -> None:
    busy = ActorBusy(f"{r.actor} has {r.gate.tickets} open requests", actor=r.actor)
    r.settle_order(busy)
    if not r.is_frozen:
        await r.serve_again()


async def _suspend(r: Residence) -> bool:
    order = r.order
    if order is None:
        if await r.is_computing():
            r.gate.touch()
            return False
        if r.exit is not None or decide(r.view(), r.rules()).do is not Do.SUSPEND:
            return False
    cause = order.cause if order is not None else Cause.IDLE
    return await sleeping.suspend(r, cause, discard=order is not None and order.discard)


async def _regain(r: Residence) -> None:
    """The lease is over: serve nothing, freeze, and claim what is still ours by the record.

    Raises Superseded when the record moved on.
    """
    r.gate.shut()
    r.phase = Phase.FENCED
    r.gate.cut_all()
    if r.exit is None:
        await r.freeze()
    await r.owner.next_lease(r.record.incarnation or "")
    if not await waking.own_again(r):
        raise Superseded("the record moved on while the lease was over")
    r.settle_order(Fenced(f"{r.actor}: the worker's lease ended", actor=r.actor))
    r.phase = Phase.FROZEN  # the next request thaws it
