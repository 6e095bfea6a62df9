"""How an actor goes to sleep: shut, freeze, begin, snapshot, commit, discard (design, section 6).

A request that comes before commit_suspend was sent takes an idle or evicting suspend back; once it
was sent only the answer decides. A store that is away loses nothing: the frozen copy stays.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from lifecycle.errors import DependencyAway, LifecycleError
from lifecycle.failpoints import Point, reach
from lifecycle.host import memory
from lifecycle.host.reaper import YIELDS, Cause, Order
from lifecycle.host.residence import Broken, LeaseLost, Phase, Residence, Superseded
from lifecycle.snapshots.vault import SnapshotOwner
from runtimes.base import RuntimeFailure

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Wanted(Exception):
    """A request came in time: the suspend is taken back."""


async def suspend(r: Residence, order: Order | None) -> bool:
    """For `order`, or because it is idle. True when the actor is suspended and gone from here;
    False when it stays."""
    cause = Cause.IDLE if order is None else order.cause
    discard = order is not None and order.discard
    r.gate.shut()
    began = time.monotonic()
    try:
        await r.freeze()
        reach(Point.SUSPEND_FROZEN)
        if _is_wanted(r, cause):
            raise _Wanted
        r.phase = Phase.SUSPENDING
        await _unless_wanted(r, cause, lambda: _begin(r), cancel=False)
        reach(Point.SUSPEND_BEGUN)
        snapshot = (
            None if discard else await _unless_wanted(r, cause, lambda: _save(r), cancel=True)
        )
        if _is_wanted(r, cause):
            raise _Wanted
    except _Wanted:
        await _take_back(r, cause, order)
        return False
    except (LifecycleError, RuntimeFailure, OSError) as error:
        await _stay(r, cause, error)
        return False
    # Nothing may come between here and the call: from now on only its answer decides.
    await _commit(r, snapshot)
    reach(Point.SUSPEND_COMMITTED)
    r.owner.fell_asleep(r.record)
    r.kit.meters.suspends["committed", cause] += 1
    r.kit.meters.phase("suspend", time.monotonic() - began)
    log.info(
        "actor suspended",
        extra={"actor": str(r.actor), "cause": str(cause), "epoch": r.record.epoch},
    )
    await _discard(r, snapshot)
    reach(Point.SUSPEND_DISCARDED)
    r.settle_order()
    return True


async def _begin(r: Residence) -> None:
    await r.write(lambda f, call: r.kit.table.begin_suspend(f, call=call))


def _is_wanted(r: Residence, cause: Cause) -> bool:
    """By a request, or by a call of its own that was on its way when it was frozen. Not once a
    person asked for it to go, nor when its program has ended meanwhile."""
    wanted = r.gate.waiting > 0 or r.gate.calls > 0
    return cause in YIELDS and wanted and not r.must_leave() and r.exit is None


async def _unless_wanted(
    r: Residence, cause: Cause, work: Callable[[], Awaitable[T]], *, cancel: bool
) -> T:
    """Do `work`; when a request comes meanwhile, let it in at once and raise _Wanted.

    A call to the table is not cancelled (its outcome must be known before the next one), but the
    request does not wait for it: we own the actor and serve, whatever the table is told later.
    """
    wanted, broken = False, None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(caught(work), name=f"suspend of {r.actor}")
        task.add_done_callback(lambda _: r.stir())
        while not task.done():
            # Cleared before the look: a request that comes after the look stirs again.
            r.stirred.clear()
            if not wanted and _is_wanted(r, cause):
                wanted = True
                if cancel:
                    # First: an image that is being written is given up where it stands, and what
                    # is left to do about it is done while the request is served.
                    task.cancel()
                try:
                    await r.serve_again()
                except Broken as error:
                    broken = error
            await r.stirred.wait()
    result = None if task.cancelled() else task.result()
    if isinstance(result, Superseded | LeaseLost):
        raise result  # before the request: it is not ours to serve
    if broken is not None:
        raise broken
    if wanted or task.cancelled():
        raise _Wanted
    result = task.result()
    if isinstance(result, Exception):
        raise result
    return result


async def caught(work: Callable[[], Awaitable[T]]) -> T | Exception:
    """An error is a result here: raised inside the group it would arrive wrapped."""
    try:
        return await work()
    except Exception as error:  # noqa: BLE001 # raised again by whoever takes the result
        return error


async def _save(r: Residence) -> str:
    assert r.copy is not None
    record = r.record
    owner = SnapshotOwner(
        actor=r.actor, uid=record.uid, epoch=record.epoch, template=record.template
    )
    directories = r.copy.directories(r.durable)
    image = await memory.write_image(r, r.copy.image)
    reach(Point.UPLOAD_BEGIN)
    saved = await r.kit.vault.save(
        owner, directories, parent=record.snapshot or r.golden, image=image
    )
    reach(Point.SUSPEND_SAVED)
    r.kit.meters.snapshot_bytes["written"] += saved.bytes_written
    r.saved_bytes = saved.bytes_total
    return saved.id


async def _take_back(r: Residence, cause: Cause, order: Order | None) -> None:
    """Serve first, tell the table second: it is ours either way while the lease lives."""
    r.kit.meters.suspends["aborted", cause] += 1
    await r.serve_again()
    if r.order is order:  # else a newer one, which is followed next
        r.settle_order(DependencyAway(f"{r.actor} was wanted", actor=r.actor))
    await _abort(r)


async def _abort(r: Residence) -> None:
    if r.record.state == "SUSPENDING":
        await r.write(lambda f, call: r.kit.table.abort_suspend(f, call=call))


async def _stay(r: Residence, cause: Cause, error: Exception) -> None:
    """The snapshot could not be written: stay as we are, frozen, and try again later."""
    r.kit.meters.suspends["failed", cause] += 1
    log.warning("suspend failed", extra={"actor": str(r.actor), "why": str(error)})
    r.not_before = r.clock() + r.kit.settings.retry_suspend_s
    r.phase = Phase.FROZEN
    told = error if isinstance(error, LifecycleError) else DependencyAway(str(error), actor=r.actor)
    r.settle_order(told)
    await _abort(r)
    if not r.is_frozen and r.exit is None:
        await r.serve_again()


async def _commit(r: Residence, snapshot: str | None) -> None:
    active_ms = r.active_ms()
    await r.write(
        lambda f, call: r.kit.table.commit_suspend(
            f, snapshot=snapshot, active_ms=active_ms, call=call
        )
    )


async def _discard(r: Residence, snapshot: str | None) -> None:
    """Killed as it is, never run again: the kept files must stay what the snapshot says."""
    await r.end_sandbox()
    if r.copy is None or snapshot is None:
        return
    try:
        uid, size = r.record.uid, r.saved_bytes
        await r.kit.disk.put_away(r.copy, r.kit.kept, uid, snapshot, size)
        r.copy = None
    except OSError as error:
        # Only a cache: the actor sleeps, whether or not its files are kept.
        log.warning("files not kept", extra={"actor": str(r.actor), "why": str(error)})


async def after_exit(r: Residence) -> bool:
    """The program ended by itself: keep its files, tell how it ended, free the slot.

    Its durable directories are saved as it left them, as a volume outlives a container; a quick end
    counts as a failed start.
    """
    r.gate.shut()
    r.gate.cut_all()
    r.phase = Phase.SUSPENDING
    reason = r.why_ended or str(r.exit)
    quick = r.clock() - r.ready_at < r.kit.settings.quick_exit_s
    log.warning("actor ended by itself", extra={"actor": str(r.actor), "how": reason})
    await r.end_sandbox()
    snapshot = await _save_at_last(r)
    if quick and snapshot is not None:
        await _checkpoint_and_fail(r, snapshot, reason)
    else:
        if r.record.state == "RUNNING":
            await _begin(r)
        active_ms = r.active_ms()
        await r.write(
            lambda f, call: r.kit.table.commit_suspend(
                f, snapshot=snapshot, active_ms=active_ms, reason=reason, call=call
            )
        )
        r.owner.fell_asleep(r.record)
    r.kit.meters.suspends["committed", Cause.EXIT] += 1
    await _discard(r, snapshot)
    r.settle_order()
    return True


async def _checkpoint_and_fail(r: Residence, snapshot: str, reason: str) -> None:
    active_ms = r.active_ms()
    if r.record.state == "SUSPENDING":
        await _abort(r)
    await r.write(
        lambda f, call: r.kit.table.checkpointed(
            f, snapshot=snapshot, active_ms=active_ms, call=call
        )
    )
    await r.write(
        lambda f, call: r.kit.table.release(
            f,
            reason=reason,
            failed=True,
            back_off=r.kit.settings.back_off,
            call=call,
        )
    )


async def _save_at_last(r: Residence) -> str | None:
    """There is no copy to go on from: the files wait here for the store, as long as we own them.

    None when somebody says that they are not wanted: files that can never be saved must not keep
    the actor from being deleted."""
    while r.order is None or not r.order.discard:
        r.stirred.clear()
        try:
            return await _save(r)
        except (LifecycleError, OSError) as error:
            r.kit.meters.suspends["failed", Cause.EXIT] += 1
            log.warning("files not saved yet", extra={"actor": str(r.actor), "why": str(error)})
            if not r.has_lease():
                raise LeaseLost from error
            if r.order is not None and not r.order.discard:
                r.settle_order(DependencyAway(f"not saved yet: {error}", actor=r.actor))
        await _pause(r, r.kit.settings.retry_suspend_s)
    return None


async def _pause(r: Residence, seconds: float) -> None:
    """That long, or until an order comes."""
    until = r.clock() + seconds
    while r.order is None and r.clock() < until:
        try:
            async with asyncio.timeout_at(until):
                await r.stirred.wait()
        except TimeoutError:
            return
        r.stirred.clear()
