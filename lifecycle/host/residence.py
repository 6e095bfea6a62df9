"""One actor on this worker: what is known of it, and the acts that its life is made of.

Exactly one task (`life.live`) acts on a residence, so within a worker nothing about an actor runs
beside anything else about it. Everybody else takes tickets at the gate, waits for `awake` or leaves
an order, and stirs the task.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from lifecycle.errors import ActorBusy, Fenced, LifecycleError, NoSuchActor, NotHere
from lifecycle.host.gate import Gate
from lifecycle.host.health import Health
from lifecycle.host.kit import Kit, Owner
from lifecycle.host.places import Copy, Note
from lifecycle.host.reaper import YIELDS, Order, Rules, View
from lifecycle.messages import Here, Phases, Refused, Resident, There
from lifecycle.templates import Template
from placement.errors import TableUnavailable
from placement.model import ActorId, ActorRecord, Answer, Fence, new_uid
from runtimes.base import Driver, Exit, Handle, Inspection, RuntimeFailure

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.host.outbound import Line
    from runtimes.roots import Root

log = logging.getLogger(__name__)

_CPU_LOOK_S = 0.2
"""How long a program that seems to compute is watched before that counts as activity."""


class Phase(StrEnum):
    WAKING = "waking"
    RUNNING = "running"
    FROZEN = "frozen"
    SUSPENDING = "suspending"
    FENCED = "fenced"
    GONE = "gone"


class LeaseLost(Exception):
    """The worker's lease ended before an answer was known."""


class Superseded(Exception):
    """The table refused: another owner, another epoch, or no such record any more."""


class Broken(Exception):
    """The driver could not let the program run on: its sandbox has to end, its files are saved."""


class Residence:
    def __init__(self, actor: ActorId, kit: Kit, owner: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.actor = actor
        self.kit = kit
        self.owner = owner
        self.clock = loop.time
        self._phase = Phase.WAKING
        self.awake: asyncio.Future[Here | There | Refused | None] = loop.create_future()
        """How the wake ended; every caller that waits for it looks here. None: it left without a
        verdict (a copy of an earlier incarnation that is not ours any more), so look again."""
        self.ended = asyncio.Event()
        self.gate = Gate(actor, clock=loop.time, stir=self.stir)
        self.phases = Phases()
        self.chosen = ""
        """Why the gateway chose this worker."""
        self.is_frozen = False
        self.exit: Exit | None = None
        self.why_ended = ""
        """Where we ended it and how it did says nothing."""
        self.health = Health.WELL
        self.ready_at = 0.0
        self.not_before = 0.0
        self.looked_at = 0.0
        self.saved_as: bytes | None = None
        """How its files looked (`checkpointing.look_of`) when they were last saved."""
        self.is_saved_still = False
        """It was frozen when its memory was last saved, and has been since."""
        self.saves: list[asyncio.Future[LifecycleError | None]] = []
        """Who asked that it be saved; told when all that was before is, or why it is not."""
        self.save_not_before = 0.0
        self.saved_bytes = 0
        """Of the files in the last snapshot that was made here."""
        self.order: Order | None = None
        self.order_done: asyncio.Future[None] | None = None
        self.was_refused = False
        """A write of ours was."""
        self.stirred = asyncio.Event()
        self._cpu_s = 0.0
        self._cpu_at = 0.0
        # Set by waking, in this order.
        self._record: ActorRecord | None = None
        self.incarnation: str | None = None
        """Ours when this copy was last claimed: no later one of ours may serve under that claim."""
        self._template: Template | None = None
        self.copy: Copy | None = None
        self.note = Note(actor=actor)
        self._driver: Driver | None = None
        self.handle: Handle | None = None
        self.image: Path | None = None
        """Of the snapshot that it wakes from, until it is awake; None: it starts anew."""
        self.root: Root | None = None
        """Of its image, where its template names one."""
        self.golden: str | None = None
        """Id of the golden that it began from: what its first snapshot shares with."""
        self.line: Line | None = None
        """Its way out, where there is one."""

    def __repr__(self) -> str:
        epoch = self._record.epoch if self._record else "-"
        return f"<Residence {self.actor} epoch {epoch} {self.phase} {self.gate!r}>"

    @property
    def doubted_until(self) -> float | None:
        """The record was found to have forgotten us: on `boot_time`, how long that may wait. The
        gate's, which asks before each byte."""
        return self.gate.doubted_until

    @doubted_until.setter
    def doubted_until(self, until: float | None) -> None:
        self.gate.doubted_until = until

    @property
    def phase(self) -> Phase:
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        self.gate.is_running = phase is Phase.RUNNING

    # What has been found out so far. Asking too early is a mistake of ours, hence the assertions.

    @property
    def record(self) -> ActorRecord:
        assert self._record is not None
        return self._record

    @record.setter
    def record(self, record: ActorRecord) -> None:
        self._record = record
        self.incarnation = record.incarnation or self.incarnation
        self.gate.tenure = self.owner.tenure(self.incarnation)

    @property
    def claimed(self) -> bool:
        return self._record is not None

    @property
    def template(self) -> Template:
        assert self._template is not None
        return self._template

    @template.setter
    def template(self, template: Template) -> None:
        self._template = template
        self.gate.queue = template.wake_queue

    @property
    def driver(self) -> Driver:
        assert self._driver is not None
        return self._driver

    @driver.setter
    def driver(self, driver: Driver) -> None:
        self._driver = driver

    @property
    def durable(self) -> tuple[str, ...]:
        """Declared paths as they were when this copy was made; the template may have changed."""
        return self.note.durable

    @property
    def keeps_memory(self) -> bool:
        """Its next snapshot holds its memory too."""
        return self.handle is not None and bool(self.note.terms)

    def has_lease(self) -> bool:
        """The lease that this copy was claimed under. A worker that lost it may have another one
        before this copy's task takes notice; by then somebody else may own the actor (P1)."""
        return self.owner.has_lease(self.incarnation)

    def may_serve(self) -> bool:
        return self.gate.may_serve()

    def may_call(self) -> bool:
        """Out into the world: from its start on, as long as nobody else may own it."""
        return self.phase not in (Phase.FENCED, Phase.GONE) and self.has_lease()

    def here(self, *, began: bool = False) -> Here:
        claimant = self.owner.claimant()
        return Here(
            uid=self.record.uid,
            epoch=self.record.epoch,
            worker=claimant.worker,
            door=claimant.door,
            phases=self.phases,
            began=began,
        )

    # Asked by others.

    def stir(self) -> None:
        self.stirred.set()

    def obey(self, order: Order) -> asyncio.Future[None]:
        """Take an order to suspend; the future ends when it was carried out, or with the reason.

        Raises ActorBusy while another order is being followed, NoSuchActor when it has left, Fenced
        while it is not known to be ours.
        """
        if self.phase is Phase.FENCED:
            raise Fenced(f"{self.actor}: the worker's lease ended", actor=self.actor)
        if self.phase is Phase.GONE:
            raise NoSuchActor(f"{self.actor} has left this worker", actor=self.actor)
        if self.order is not None:
            raise ActorBusy(f"{self.actor} is already being suspended", actor=self.actor)
        self.order = order
        self.order_done = asyncio.get_running_loop().create_future()
        if self.phase is Phase.RUNNING and order.cause not in YIELDS:
            self.gate.shut()  # from now on requests wait, then wake it again
        self.stir()
        return self.order_done

    async def saved(self) -> None:
        """Ask for a checkpoint and wait for it. Raises Fenced, NotHere, what saving raises."""
        if self.phase is Phase.FENCED:
            raise Fenced(f"{self.actor}: the worker's lease ended", actor=self.actor)
        if self.phase is Phase.GONE:
            raise NotHere(f"{self.actor} has left this worker", actor=self.actor)
        asked: asyncio.Future[LifecycleError | None] = asyncio.get_running_loop().create_future()
        self.saves.append(asked)
        self.stir()
        # Shielded: who gives up waiting leaves a future that can still be told.
        if (error := await asyncio.shield(asked)) is not None:
            raise error

    def must_leave(self) -> bool:
        """An order that no request takes back has been given."""
        return self.order is not None and self.order.cause not in YIELDS

    def settle_order(self, error: LifecycleError | None = None) -> None:
        done, self.order, self.order_done = self.order_done, None, None
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
            done.exception()  # seen: whoever asked may have left

    def view(self) -> View:
        return View(
            now=self.clock(),
            tickets=self.gate.tickets,
            waiting=self.gate.waiting,
            calls=self.gate.calls,
            is_frozen=self.is_frozen,
            last_active=self.gate.last_active,
            order=self.order,
            not_before=self.not_before,
            save_at=self.save_not_before if self.saves else None,
            looked_at=self.looked_at,
        )

    def rules(self) -> Rules:
        return Rules(
            freeze_after=self.template.freeze_after_s,
            suspend_after=self.template.suspend_after_s,
            checkpoint_every=self.template.checkpoint_every_s,
        )

    # Freeze and thaw: local to the worker, the table does not know.

    async def freeze(self) -> None:
        """Gate shut by the caller. The pooled connections go first: a server whose keep-alive timer
        ran out while it was frozen would close them at the thaw, under the next request.

        Raises RuntimeFailure; then it runs, unless the driver cannot thaw it either (Broken)."""
        if self.is_frozen or self.handle is None:
            return
        self._drop_connections(self.handle)
        try:
            async with asyncio.timeout(self.kit.settings.driver_s):
                await self.driver.freeze(self.handle)
        except (RuntimeFailure, OSError) as error:
            await self._thaw(self.handle)  # half of it may stand still
            raise RuntimeFailure(f"{self.actor} could not be frozen: {error}") from error
        self.is_frozen = True

    async def _thaw(self, handle: Handle) -> None:
        self.is_saved_still = False
        try:
            async with asyncio.timeout(self.kit.settings.driver_s):
                await self.driver.thaw(handle)
        except (RuntimeFailure, OSError) as error:
            raise Broken(f"{self.actor} could not be thawed: {error}") from error

    def _drop_connections(self, handle: Handle) -> None:
        for endpoint in handle.endpoints.values():
            self.kit.drop_connections((handle.slug, endpoint.port))

    async def end_sandbox(self) -> None:
        """Kill it as it is; never thawed, so that its files stay what a snapshot of them says."""
        if self.line is not None and self.kit.outbound is not None:
            self.kit.outbound.close(self.line.slug)
            self.line = None
        if self.handle is not None:
            self._drop_connections(self.handle)
            async with asyncio.timeout(self.kit.settings.driver_s):
                await self.driver.stop(self.handle, 0)
            self.handle = None

    async def serve_again(self) -> None:
        """Thaw where frozen, and let requests in, unless it was told to leave meanwhile.

        Raises Broken."""
        if self.is_frozen and self.handle is not None:
            began = time.monotonic()
            await self._thaw(self.handle)
            self.kit.meters.phase("thaw", time.monotonic() - began)
            self.kit.meters.wakes["ok", "thaw"] += 1
        self.is_frozen = False
        self.phase = Phase.RUNNING
        if not self.must_leave():
            self.gate.open()
        if self.handle is not None:
            await self._cores_used()

    async def run_on(self) -> None:
        """After a standstill that was none of its clients' doing, and no rest either.

        Raises Broken."""
        if self.is_frozen and self.handle is not None:
            await self._thaw(self.handle)
        self.is_frozen = False
        if not self.must_leave():
            since = self.gate.last_active
            self.gate.open()
            self.gate.last_active = since

    async def is_computing(self) -> bool:
        """Does it use more than `busy_cores` though nobody calls? Its last request's work should
        not count, so a high average since it was let in is looked at once more, briefly."""
        if self.handle is None or self.is_frozen:
            return False
        limit = self.kit.settings.busy_cores
        if await self._cores_used() <= limit:
            return False
        await asyncio.sleep(_CPU_LOOK_S)
        return await self._cores_used() > limit

    async def uses_cpu(self) -> bool:
        """Now, whatever it did before."""
        first = await self._inspect()
        await asyncio.sleep(_CPU_LOOK_S)
        second = await self._inspect()
        if first is None or second is None:
            return False
        return (second.cpu_s - first.cpu_s) / _CPU_LOOK_S > self.kit.settings.busy_cores

    async def _cores_used(self) -> float:
        """Average since the last look (or since it was let in); none where nobody can tell."""
        seen = await self._inspect()
        if seen is None:
            return 0.0
        now = self.clock()
        cores = (seen.cpu_s - self._cpu_s) / max(now - self._cpu_at, 0.001)
        self._cpu_s, self._cpu_at = seen.cpu_s, now
        return cores

    async def _inspect(self) -> Inspection | None:
        if self.handle is None:
            return None
        try:
            async with asyncio.timeout(self.kit.settings.driver_s):
                return await self.driver.inspect(self.handle)
        except (RuntimeFailure, OSError):
            return None  # it ended just now: whoever waits for its end will tell

    # The table.

    async def write(self, operation: Callable[[Fence, str], Awaitable[Answer]]) -> Answer:
        """Make one fenced call until its answer is known.

        Raises Superseded when the table refuses, LeaseLost when the lease ended first: the call may
        then still be executed, so nothing else is tried on this epoch.
        """
        fence, call = self.record.fence(), new_uid()
        answer: Answer | None = None
        while answer is None:
            try:
                answer = await operation(fence, call)
            except TableUnavailable:
                if not self.has_lease():
                    raise LeaseLost from None
                await asyncio.sleep(random.uniform(0.02, 0.2))
        if not answer.is_done or answer.record is None:
            raise Superseded(str(answer.outcome))
        self.record = answer.record
        return answer

    # What it leaves and tells.

    def write_note(self, note: Note) -> None:
        """What a later incarnation of this worker must know to find this copy."""
        assert self.copy is not None
        self.note = note
        self.copy.write(note)

    def active_ms(self) -> int:
        """Unix milliseconds of the last activity."""
        return int((time.time() - (self.clock() - self.gate.last_active)) * 1000)

    async def describe(self) -> Resident:
        seen = await self._inspect()
        return Resident(
            actor=self.actor,
            epoch=self._record.epoch if self._record else 0,
            state=str(self.phase),
            runtime=str(self.handle.runtime) if self.handle else "",
            tickets=self.gate.tickets,
            idle_s=round(self.clock() - self.gate.last_active, 3),
            pid=self.handle.pid if self.handle else None,
            memory_bytes=seen.memory_bytes if seen else 0,
            chosen=self.chosen,
        )
