"""The life of one actor on this worker, from its claim to its end: the one task that acts on it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lifecycle.errors import ActorBusy, Fenced, NotHere
from lifecycle.host import sleeping, waking
from lifecycle.host.checkpointing import checkpoint, settle
from lifecycle.host.health import Health
from lifecycle.host.probing import watch_health
from lifecycle.host.reaper import Do, decide
from lifecycle.host.reasserting import assert_again
from lifecycle.host.residence import Broken, LeaseLost, Phase, Residence, Superseded
from runtimes.base import Exit, RuntimeFailure

log = logging.getLogger(__name__)


class NotOurs(Exception):
    """The actor has another owner, or is no more: this copy ends."""


_CUT_WAIT_S = 5.0
"""After a forced suspend cut the open tickets: how long the relay may take to close them."""


async def live(r: Residence, begin: Callable[[Residence], Awaitable[bool]]) -> None:
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
        r.owner.leave_unsure(r.actor)
    finally:
        # Shut before anything is awaited: a caller at an open gate that gives no ticket would turn
        # round and round without ever letting the loop go on.
        r.gate.shut()
        r.phase = Phase.GONE
        await asyncio.shield(_leave(r, is_over=is_over))


async def _leave(r: Residence, *, is_over: bool) -> None:
    """Whatever happened: no process, nobody left waiting. Of a worker that is stopped without a
    drain (or a mistake of ours) the files stay: the next start finds and saves them."""
    try:
        r.gate.cut_all()
        await r.end_sandbox()
        if is_over and r.copy is not None:
            await asyncio.to_thread(r.copy.remove)
    except Exception:
        log.exception("copy not ended", extra={"actor": str(r.actor)})
    finally:
        gone = Fenced(f"{r.actor} left this worker", actor=r.actor)
        r.settle_order(gone)
        settle(r.saves, NotHere(str(gone), actor=r.actor))
        if not r.awake.done():
            r.awake.set_result(None)
        r.owner.freed(r)
        r.gate.let_go()
        r.ended.set()


async def _reside(r: Residence) -> None:
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch_exit(r), name=f"exit of {r.actor}")
        probes = group.create_task(watch_health(r), name=f"health of {r.actor}")
        try:
            while not await _step(r):
                pass
        finally:
            watch.cancel()
            probes.cancel()


async def _watch_exit(r: Residence) -> None:
    if r.handle is None or r.exit is not None:
        return
    try:
        r.exit = await r.driver.wait(r.handle)
    except (RuntimeFailure, OSError) as error:
        # Nobody would notice its end any more: it is ended, and its files are saved.
        log.warning("driver lost the program", extra={"actor": str(r.actor), "why": str(error)})
        r.exit = Exit()
    r.stir()


async def _step(r: Residence) -> bool:
    """One decision carried out; True when the actor is no longer here."""
    try:
        if not r.has_lease():
            await _regain(r)
            return False
        if r.doubted_until is not None:
            await _find_out(r)
            return False  # much may have changed while the table was asked
        if r.exit is not None:
            return await sleeping.after_exit(r)
        if r.health is Health.HUNG:
            await _end_hung(r)
            return False
        step = decide(r.view(), r.rules())
        match step.do:
            case Do.WAIT:
                await _wait(r, step.until)
            case Do.THAW:
                await r.serve_again()
            case Do.CHECKPOINT:
                await checkpoint(r)
            case Do.FREEZE:
                await _freeze_if_idle(r)
            case Do.CUT:
                await _cut(r)
            case Do.REFUSE:
                await _refuse_order(r)
            case Do.SUSPEND:
                return await _suspend(r)
    except Broken as error:
        await _end(r, error)
    except LeaseLost:
        log.warning("lease ended under a write", extra={"actor": str(r.actor)})
    except Superseded:
        # Somebody else may have it already: nothing is served until that is known.
        r.was_refused, r.doubted_until = True, 0.0
        r.gate.shut()
    except NotOurs as error:
        # Another owner's word is in the table: whatever we hold is nobody's (P1).
        log.warning("copy discarded", extra={"actor": str(r.actor), "why": str(error)})
        return True
    return False


async def _wait(r: Residence, until: float | None) -> None:
    """Until something stirs. Nothing is awaited between the decision and the clear, so no stir
    is lost."""
    r.stirred.clear()
    if until is None:
        await r.stirred.wait()
        return
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
    try:
        await r.freeze()
    except RuntimeFailure as error:
        log.warning("not frozen", extra={"actor": str(r.actor), "why": str(error)})
        if r.exit is None:
            await r.serve_again()


async def _end(r: Residence, error: Exception) -> None:
    """The driver cannot go on with it: what is left of it are its files, to be saved as of a
    program that ended by itself."""
    log.error("sandbox ended", extra={"actor": str(r.actor), "why": str(error)})
    r.gate.shut()
    await r.end_sandbox()
    r.exit = r.exit or Exit()


async def _end_hung(r: Residence) -> None:
    r.health, r.why_ended = Health.WELL, "hung: its readiness failed and requests got no answer"
    r.kit.meters.hung += 1
    await _end(r, RuntimeFailure(r.why_ended))


async def _cut(r: Residence) -> None:
    count = r.gate.cut_all()
    log.warning("requests cut", extra={"actor": str(r.actor), "count": count})
    deadline = r.clock() + _CUT_WAIT_S
    while (r.gate.tickets or r.gate.calls) and r.clock() < deadline and r.has_lease():
        await _wait(r, deadline)


async def _refuse_order(r: Residence) -> None:
    what = f"{r.gate.tickets} open requests and {r.gate.calls} open calls"
    busy = ActorBusy(f"{r.actor} has {what}", actor=r.actor)
    r.settle_order(busy)
    if not r.is_frozen:
        await r.serve_again()


async def _suspend(r: Residence) -> bool:
    if r.order is None:
        if await r.is_computing():
            r.gate.touch()
            return False
        if r.exit is not None or decide(r.view(), r.rules()).do is not Do.SUSPEND:
            return False
    # Read only now: an order may have come while we looked at the CPU.
    return await sleeping.suspend(r, r.order)


async def _find_out(r: Residence) -> None:
    """The table was found to say otherwise than it did. Raises NotOurs."""
    if not await assert_again(r):
        raise NotOurs("the record says otherwise")
    if r.exit is None and not r.is_frozen:
        await r.serve_again()
    elif r.phase is not Phase.RUNNING:
        r.phase = Phase.FROZEN


async def _regain(r: Residence) -> None:
    """The lease is over: serve nothing, freeze, and claim what is still ours by the record.

    Raises Superseded when the record moved on.
    """
    r.gate.shut()
    r.phase = Phase.FENCED
    r.gate.cut_all()
    r.settle_order(Fenced(f"{r.actor}: the worker's lease ended", actor=r.actor))
    if r.exit is None:
        try:
            await r.freeze()
        except (RuntimeFailure, Broken) as error:
            await _end(r, error)  # it must not run while somebody else may
    if not await waking.own_again(r) and not await assert_again(r):
        raise NotOurs("the record moved on while the lease was over")
    r.phase = Phase.FROZEN  # the next request thaws it
