"""How an actor comes to life here: claim, fetch, start, ready; and how a copy is owned again.

At most two calls to the table (claim, ready). Every step may find that the world moved on: the
claim tells, and a step that fails releases the actor, so that the next request may try again (A7).
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from lifecycle.errors import (
    DependencyAway,
    LifecycleError,
    NoSuchActor,
    NoSuchTemplate,
    StartFailed,
)
from lifecycle.failpoints import Point, reach
from lifecycle.host import memory
from lifecycle.host.counting import with_place
from lifecycle.host.kit import Kit
from lifecycle.host.outbound import Line, Outfit
from lifecycle.host.places import Copy, Note, boot_id
from lifecycle.host.readiness import until_ready
from lifecycle.host.reasserting import commit_again
from lifecycle.host.residence import LeaseLost, Residence, Superseded
from lifecycle.messages import Phases, Refused, There
from lifecycle.templates import Template
from placement.errors import PlacementError, TableUnavailable
from placement.model import ActorRecord, ActorState, Answer, Claimant, Outcome
from placement.repeat import until_known
from runtimes.base import Preload, RuntimeFailure, SandboxSpec
from runtimes.environment import SYSTEM_PATH
from runtimes.registry import choose
from runtimes.roots import Root

log = logging.getLogger(__name__)

_CLAIM_TRIES = 5
_LOOK_AGAIN_S = 0.05
_CALL_BUDGET_S = 10.0
"""How long one call to the table is repeated before a caller is told that the table is away."""


async def wake(r: Residence) -> bool:
    """Bring the actor up; False when it does not run here, with `awake` telling why."""
    # Not the loop's clock: uvloop's moves in whole milliseconds, once per turn.
    clock, began = time.monotonic, time.monotonic()
    try:
        reach(Point.WAKE_BEGIN)
        answer, has_place = await with_place(r, _claim)
        if isinstance(answer, There):
            r.awake.set_result(answer)
            return False
        claimed = clock()
        reach(Point.WAKE_CLAIMED)
        r.record = answer
        if not has_place and r.kit.quotas is not None:
            raise r.kit.quotas.refusal(r.actor)
        # Past the budget others may claim it: to wait on for a store or a driver is no use.
        async with asyncio.timeout(r.kit.settings.wake_budget_s):
            await _prepare(r)
            spec = _spec(r)
            terms = memory.terms_of(r.template, r.driver, spec)
            await memory.fetch(r, spec, terms)
            fetched = clock()
            r.handle = await memory.begin(r, spec)
            await lead_out(r)
            started = clock()
            reach(Point.WAKE_STARTED)
            r.write_note(msgspec.structs.replace(r.note, handle=r.handle, terms=terms))
            await until_ready(r.driver, r.template, r.handle, str(r.actor))
        await become_ready(r)
    except (Superseded, LeaseLost) as error:
        _refuse(r, DependencyAway(f"{r.actor}: ownership was lost while it woke: {error}"))
        return False
    except Exception as error:
        if not isinstance(error, LifecycleError | RuntimeFailure | PlacementError | OSError):
            log.exception("wake broke", extra={"actor": str(r.actor)})
        await _give_up(r, error)
        return False
    ready = clock()
    reach(Point.WAKE_READY)
    r.phases = Phases(
        total=(ready - began) * 1000,
        claim=(claimed - began) * 1000,
        fetch=(fetched - claimed) * 1000,
        restore=(started - fetched) * 1000,
        ready=(ready - started) * 1000,
    )
    for name in ("total", "claim", "fetch", "restore", "ready"):
        r.kit.meters.phase(name, getattr(r.phases, name) / 1000)
    r.kit.meters.wakes["ok", "cold"] += 1
    await let_in(r)
    await memory.drop_image(r)
    log.info(
        "actor woken",
        extra={
            "actor": str(r.actor),
            "epoch": r.record.epoch,
            "took_ms": round(r.phases.total, 1),
            "chosen": r.chosen,
        },
    )
    return True


async def become_ready(r: Residence) -> None:
    """The last call before it serves. Raises Superseded, LeaseLost, PlacementError.

    Under a new history somebody else may have taken it over since we claimed it, and that may be
    forgotten: it is ours only if the record still says so when all have looked."""
    answer = await r.write(lambda fence, call: r.kit.table.ready(fence, call=call))
    if not await _stands(r, r.record, answer.history):
        raise Superseded("forgotten, and owned anew by another worker")


async def let_in(r: Residence) -> None:
    assert r.handle is not None
    r.ready_at = r.looked_at = r.clock()
    r.gate.lead_to(r.handle.slug, r.handle.endpoints)
    await r.serve_again()
    if not r.awake.done():
        r.awake.set_result(r.here())


async def _claim(r: Residence) -> ActorRecord | There:
    """Own the actor, or learn who does. Raises LifecycleError."""
    # One for the whole of it: had the lease ended meanwhile, the next incarnation may not be
    # registered yet, and by a claim in its name it would serve once it is, taken over or not.
    table, claimant = r.kit.table, r.owner.claimant()
    if not r.owner.has_lease(claimant.incarnation):
        raise DependencyAway(f"{r.actor}: this worker has no lease", actor=r.actor)
    budget_ms = int(r.kit.settings.wake_budget_s * 1000)
    for _ in range(_CLAIM_TRIES):
        answer = await _known(
            r,
            lambda call: table.claim(r.actor, claimant, budget_ms=budget_ms, call=call),
        )
        match answer.outcome:
            case Outcome.DONE if answer.record is not None:
                if await _stands(r, answer.record, answer.history):
                    return answer.record
            case Outcome.NOT_FOUND:
                raise NoSuchActor(f"no actor {r.actor}", actor=r.actor)
            case Outcome.BACKING_OFF:
                why = answer.record.reason if answer.record else None
                raise StartFailed(
                    f"{r.actor} failed to start several times and is not tried yet: {why}",
                    actor=r.actor,
                    retry_after_s=answer.retry_after_ms / 1000,
                )
            case Outcome.HELD if answer.record is not None:
                settled = await _settle_held(r, answer.record, claimant)
                if settled is not None:
                    return settled
            case _:
                await asyncio.sleep(random.uniform(0.005, 0.05))  # lost a race: look anew
    raise DependencyAway(f"{r.actor} keeps changing hands", actor=r.actor)


async def _settle_held(r: Residence, held: ActorRecord, me: Claimant) -> ActorRecord | There | None:
    """Somebody owns it: follow them, or take over when their lease is provably over.

    None: it changed meanwhile, claim again.
    """
    table, leases = r.kit.table, r.kit.leases
    assert held.worker is not None and held.incarnation is not None
    if (held.worker, held.incarnation) == (me.worker, me.incarnation):
        if await commit_again(r, held):
            return None
        # A claim of ours whose answer was lost: this worker has no such copy, so nobody has.
        await _known(
            r,
            lambda call: table.release(
                held.fence(), reason="claimed without an answer", failed=False, call=call
            ),
        )
        return None
    if await leases.is_over(held.worker, held.incarnation):
        if held.worker != me.worker and await _moves(r, held):
            return None
        answer = await _known(
            r,
            lambda call: table.take_over(
                held,
                me,
                budget_ms=int(r.kit.settings.wake_budget_s * 1000),
                call=call,
            ),
        )
        if not answer.is_done or answer.record is None:
            return None
        log.warning("actor taken over", extra={"actor": str(r.actor), "lost_worker": held.worker})
        return answer.record if await _stands(r, answer.record, answer.history) else None
    worker = await leases.worker(held.worker)
    if worker is None:
        return None
    return There(worker=worker.worker, rpc=worker.rpc)


async def _stands(r: Residence, claimed: ActorRecord, history: str) -> bool:
    """Is the claim good? By the record of a table that may have forgotten writes it is not before
    every worker has looked: one of them may run a copy, and owns it anew then."""
    histories = r.kit.leases.histories
    if histories.is_settled(history):
        return True
    r.owner.renew_soon()  # we are one of them
    try:
        await histories.settle(history)
        seen = await r.kit.table.read(r.actor)
    except PlacementError as error:
        r.owner.leave_unsure(r.actor)
        raise DependencyAway(f"the placement table is away: {error}", actor=r.actor) from error
    return seen is not None and (seen.uid, seen.revision) == (claimed.uid, claimed.revision)


async def _moves(r: Residence, held: ActorRecord) -> bool:
    """Its worker is back as a new incarnation: it may hold files that are newer than any snapshot
    (R12), so it goes first, for one lease time. True when the record is not as in `held` any more.
    """
    assert held.worker is not None
    until = r.clock() + r.kit.leases.ttl_s
    while r.clock() < until and await r.kit.leases.worker(held.worker) is not None:
        seen = await r.kit.table.read(r.actor)
        # Not by the fence, which a record has only while it is owned.
        if seen is None or (seen.uid, seen.revision) != (held.uid, held.revision):
            return True
        await asyncio.sleep(_LOOK_AGAIN_S)
    return False


async def _known(r: Residence, attempt: Callable[[str], Awaitable[Answer]]) -> Answer:
    try:
        return await until_known(attempt, deadline=r.clock() + _CALL_BUDGET_S)
    except TableUnavailable as error:
        # The call may still be executed: the reconciler looks whether the record names us.
        r.owner.leave_unsure(r.actor)
        raise DependencyAway(f"the placement table is away: {error}", actor=r.actor) from error


async def _prepare(r: Residence) -> None:
    """Template, driver, directories: everything a start needs."""
    record = r.record
    template = await r.kit.templates.get(record.actor.namespace, record.template)
    if template is None:
        raise NoSuchTemplate(
            f"{r.actor} is of template {record.template}, which does not exist", actor=r.actor
        )
    r.template = template.with_policy(record.policy)
    wanted = template.runtime if template.runtime != "auto" else r.kit.settings.runtime
    r.driver = choose(template.requires, r.kit.drivers, wanted)
    if template.preload and (lacks := r.driver.capabilities().preload_lacks):
        # Not a plain start in its place: it would be as slow as the template says it must not be.
        raise StartFailed(
            f"{r.actor} cannot preload in runtime class {r.driver.runtime}: {lacks}", actor=r.actor
        )
    r.root = await root_of(r.kit, r.template)
    r.copy = r.kit.places.copy(record.uid, record.epoch)
    await r.kit.disk.do(lambda: _make_copy(r))


def _make_copy(r: Residence) -> None:
    """An own directory, with what this worker kept of the very snapshot that is to be woken."""
    record, copy = r.record, r.copy
    assert copy is not None
    r.note = Note(
        actor=r.actor,
        uid=record.uid,
        epoch=record.epoch,
        template=record.template,
        durable=r.template.durable,
        boot=boot_id(),
    )
    copy.make(r.note)
    if record.snapshot is not None:
        names = copy.names(r.template.durable)
        r.kit.kept.take(record.uid, record.snapshot, names, copy.durable)


def open_line(r: Residence, slug: str, epoch: int) -> Outfit:
    """Its way out, and what its program must know of it. Raises StartFailed."""
    outbound, policy = r.kit.outbound, r.template.egress_policy
    if outbound is None:
        if policy != "default":
            raise StartFailed(
                f"{r.actor} wants egress policy {policy}, and this worker has no egress proxy",
                actor=r.actor,
            )
        return Outfit({}, ())
    r.line = Line(r, slug, epoch)
    can = r.driver.capabilities()
    return outbound.open(
        r.line,
        near=can.near if can.own_network else "",
        ports=frozenset(r.template.ports.values()),
    )


async def lead_out(r: Residence) -> None:
    """Raises OSError."""
    if r.line is not None and r.kit.outbound is not None and r.handle is not None:
        await r.kit.outbound.lead(r.line, r.handle)


def _spec(r: Residence) -> SandboxSpec:
    assert r.copy is not None
    record = r.record
    out = open_line(r, f"rouse-{record.uid}-{record.epoch}", record.epoch)
    who = {"actor": str(r.actor), "uid": record.uid}
    log_file = r.kit.places.log(record.uid)
    return spec_of(r.template, r.root, r.copy, out, **who, epoch=record.epoch, log=log_file)


async def root_of(kit: Kit, template: Template) -> Root | None:
    """Of its image, unpacked if need be. Raises RuntimeFailure."""
    if template.image is None:
        return None
    if kit.roots is None:
        raise RuntimeFailure("this worker unpacks no images")
    return await kit.roots.get(template.image)


def spec_of(
    template: Template,
    root: Root | None,
    copy: Copy,
    out: Outfit,
    *,
    actor: str,
    uid: str,
    epoch: int,
    log: Path,
) -> SandboxSpec:
    spec = _of_template(template, copy, out, actor=actor, uid=uid, epoch=epoch, log=log)
    if root is None:
        return spec
    config = root.config
    command = template.command or (*config.entrypoint, *config.command)
    if not command:
        raise StartFailed("neither the template nor the image says a command")
    return msgspec.structs.replace(
        spec,
        root=root.path,
        user=root.user,
        command=command,
        working_dir=template.working_dir or Path("/", config.working_dir),
        # What differs from the image's own is the template's, and the way out is ours.
        env={"PATH": SYSTEM_PATH, **config.env, **spec.env},
    )


def _of_template(
    template: Template, copy: Copy, out: Outfit, *, actor: str, uid: str, epoch: int, log: Path
) -> SandboxSpec:
    return SandboxSpec(
        actor=actor,
        uid=uid,
        epoch=epoch,
        directory=copy.sandbox,
        command=template.command,
        working_dir=template.working_dir,
        env={**out.env, **template.env},
        ports=template.ports,
        durable=copy.directories(template.durable),
        resources=template.resources,
        preload=Preload(template=template.key, modules=template.preload, env=template.env)
        if template.preload
        else None,
        shown=out.shown,
        log=log,
    )


async def _give_up(r: Residence, error: Exception) -> None:
    """Tell the callers, end what was started, release the claim."""
    told = error if isinstance(error, LifecycleError) else _translated(r, error)
    _refuse(r, told)
    log.warning("wake failed", extra={"actor": str(r.actor), "why": str(told)})
    if not r.claimed:
        return
    await r.end_sandbox()
    # Our own trouble (store or table away) is not the program's failure and never backs it off.
    failed = isinstance(told, StartFailed)
    try:
        await r.write(
            lambda fence, call: r.kit.table.release(
                fence,
                reason=str(told)[:500],
                failed=failed,
                back_off=r.kit.settings.back_off,
                call=call,
            )
        )
    except (LeaseLost, Superseded):
        r.owner.leave_unsure(r.actor)


def _translated(r: Residence, error: Exception) -> LifecycleError:
    if isinstance(error, PlacementError):
        return DependencyAway(f"the placement table is away: {error}", actor=r.actor)
    if isinstance(error, TimeoutError):
        return DependencyAway(f"{r.actor} was not started within the time of a wake", actor=r.actor)
    if isinstance(error, OSError):
        return DependencyAway(f"this worker cannot start {r.actor}: {error}", actor=r.actor)
    return StartFailed(f"{r.actor} could not be started: {error}", actor=r.actor)


def _refuse(r: Residence, error: LifecycleError) -> None:
    r.kit.meters.wakes["failed", "cold"] += 1
    if not r.awake.done():
        r.awake.set_result(
            Refused(
                error=type(error).__name__, message=str(error), retry_after_s=error.retry_after_s
            )
        )


async def own_again(r: Residence) -> bool:
    """After the lease that this copy was claimed under: claim it anew, if it is still the record's.

    False only when the table says that it is not; away, it is asked until it says anything. A copy
    that is given up for want of an answer would take what it wrote since its snapshot with it.
    """
    while True:
        await r.owner.next_lease(r.incarnation or "")
        try:
            is_ours = await _own_again(r)
        except (DependencyAway, PlacementError, LeaseLost):
            is_ours = None
        if is_ours is not None:
            return is_ours
        await asyncio.sleep(random.uniform(0.05, 0.5))


async def _own_again(r: Residence) -> bool | None:
    table, me = r.kit.table, r.owner.claimant()
    held = await table.read(r.actor)
    if held is None or held.incarnation is None or not r.note.is_of(held, me.worker):
        return False
    if held.incarnation != me.incarnation:
        if not await r.kit.leases.is_over(me.worker, held.incarnation):
            return None
        # Noted before: when the answer is lost, the record is known as ours all the same.
        claimants = (*r.note.claimants, me.incarnation)
        r.write_note(msgspec.structs.replace(r.note, claimants=claimants, was_ready=True))
        budget_ms = int(r.kit.settings.wake_budget_s * 1000)
        answer = await _known(
            r, lambda call: table.take_over(held, me, budget_ms=budget_ms, call=call)
        )
        if not answer.is_done or answer.record is None:
            return None  # it moved since: perhaps by an earlier try of ours
        mine = answer.record
    else:
        mine = held  # a claim of ours whose answer was lost
    r.record = mine
    r.write_note(msgspec.structs.replace(r.note, epoch=mine.epoch, claimants=()))
    if mine.state is ActorState.WAKING:
        await become_ready(r)
        return True
    for history in await r.kit.leases.histories.now():
        # An earlier try of ours, whose answer was lost.
        if not await _stands(r, mine, history):
            return None
    return True
