"""Building goldens: a template's program is started for nobody, saved when it is ready, and ended.

One worker of all builds one (an errand, and where two do all the same, both are as good). The copy
is no actor: it has no name, no record and no way out, so nothing of an actor, of its data or of a
secret can be in what is saved. While it is built new actors start as ever.
"""

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.host import memory, waking
from lifecycle.host.golden import Goldens
from lifecycle.host.kit import Kit
from lifecycle.host.outbound import Line, Outfit
from lifecycle.host.places import Copy
from lifecycle.host.readiness import until_ready
from lifecycle.snapshots.image import write_terms
from lifecycle.snapshots.vault import SnapshotOwner
from lifecycle.templates import Template
from placement.errors import PlacementError
from placement.model import ActorId
from runtimes.base import Driver, Handle, RuntimeFailure, SandboxSpec
from runtimes.registry import choose
from runtimes.roots import Root

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

ERRAND_MS = 300_000
"""For one build; one that failed, here or elsewhere, is tried again after it."""
_NAME = "golden"


class NobodysLine(Line):
    """The way out of a copy that has none: whatever it asks, it is not here."""

    __slots__ = ("_template", "own_uid")

    def __init__(self, template: Template, uid: str, slug: str) -> None:
        self._template = template
        self.slug = slug
        self.epoch = 0
        self.own_uid = uid

    @property
    def actor(self) -> ActorId:
        return ActorId(self._template.namespace, _NAME)

    @property
    def uid(self) -> str:
        return self.own_uid

    @property
    def template(self) -> str:
        return self._template.name

    @property
    def policy(self) -> str:
        return self._template.egress_policy

    def is_here(self) -> bool:
        return False

    def on_cut(self, cut: object) -> None:
        pass


class Building:
    def __init__(self, kit: Kit, goldens: Goldens, worker: str) -> None:
        self._kit = kit
        self._goldens = goldens
        self._worker = worker

    async def run(self) -> None:
        """What is wanted, one at a time, until cancelled."""
        while True:
            template, uid = await self._goldens.wanted.get()
            key = f"{template.namespace}/{uid}"
            try:
                # First the errand, then a look: whoever had it before us may be done.
                if not await self._goldens.errands.take(key, self._worker, lasts_ms=ERRAND_MS):
                    continue
                if not await self._goldens.vault.snapshots(template.namespace, uid):
                    await self.build(template, uid)
            except (LifecycleError, PlacementError, RuntimeFailure, OSError, TimeoutError) as error:
                log.warning("golden not built", extra={"template": key, "why": str(error)})
            except Exception:
                log.exception("building a golden broke", extra={"template": key})

    async def build(self, template: Template, uid: str) -> str:
        """Its snapshot's id. Raises what a start raises; then nothing is left of it."""
        kit = self._kit
        wanted = template.runtime if template.runtime != "auto" else kit.settings.runtime
        driver = choose(template.requires, kit.drivers, wanted)
        # Without a note: should this worker die now, the next start removes it.
        copy = kit.places.copy(uid, 0)
        line = NobodysLine(template, uid, f"rouse-{uid}-0")
        handle: Handle | None = None
        try:
            root = await waking.root_of(kit, template)
            await asyncio.to_thread(_make, copy, template)
            spec = self._spec(template, root, uid, copy, driver, line)
            async with asyncio.timeout(kit.settings.wake_budget_s):
                handle = await driver.start(spec)
                await until_ready(driver, template, handle, f"golden of {template.key}")
            return await self._save(template, uid, copy, driver, handle, spec)
        finally:
            await asyncio.shield(self._end(copy, driver, handle, line))

    def _spec(
        self,
        template: Template,
        root: Root | None,
        uid: str,
        copy: Copy,
        driver: Driver,
        line: Line,
    ) -> SandboxSpec:
        out = Outfit({}, ())
        if self._kit.outbound is not None:
            # What a program is told of its way out, so that memory knows it; it leads nowhere.
            can = driver.capabilities()
            near = can.near if can.own_network else ""
            ports = frozenset(template.ports.values())
            out = self._kit.outbound.open(line, near=near, ports=ports)
        log_file = self._kit.places.log(uid)
        return waking.spec_of(template, root, copy, out, actor="", uid=uid, epoch=0, log=log_file)

    async def _save(
        self,
        template: Template,
        uid: str,
        copy: Copy,
        driver: Driver,
        handle: Handle,
        spec: SandboxSpec,
    ) -> str:
        terms = memory.terms_of(template, driver, spec)
        image: Path | None = None
        async with asyncio.timeout(self._kit.settings.driver_s):
            await driver.freeze(handle)
            if terms:
                image = copy.image
                await driver.checkpoint(handle, image)
                await asyncio.to_thread(write_terms, image, terms)
        owner = SnapshotOwner(actor=ActorId(template.namespace, _NAME), uid=uid, epoch=0)
        directories = copy.directories(template.durable)
        saved = await self._goldens.vault.save(owner, directories, parent=None, image=image)
        # Ended before its files are anybody's: nothing may change them any more.
        async with asyncio.timeout(self._kit.settings.driver_s):
            await driver.stop(handle, 0)
        place = self._goldens.new_place()
        with suppress(OSError):  # on another disk: then it is fetched
            await asyncio.to_thread(copy.durable.rename, place)
            self._goldens.keep(template.namespace, uid, saved.id, place, saved.bytes_total)
        log.info("golden built", extra={"template": template.key, "bytes": saved.bytes_total})
        return saved.id

    async def _end(self, copy: Copy, driver: Driver, handle: Handle | None, line: Line) -> None:
        if self._kit.outbound is not None:
            self._kit.outbound.close(line.slug)
        try:
            if handle is not None:
                async with asyncio.timeout(self._kit.settings.driver_s):
                    await driver.stop(handle, 0)
            await asyncio.to_thread(copy.remove)
        except (RuntimeFailure, OSError) as error:
            log.warning("copy of a golden not ended", extra={"why": str(error)})


def _make(copy: Copy, template: Template) -> None:
    copy.remove()
    copy.sandbox.mkdir(parents=True)
    for directory in copy.directories(template.durable).values():
        directory.mkdir(parents=True)
    copy.durable.mkdir(exist_ok=True)
