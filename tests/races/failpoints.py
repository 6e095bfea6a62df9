"""Where an interleaving is brought about: each call of the fakes and of the real table can be held
or broken, before it is carried out and after (then it was, and its answer is lost)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from placement.errors import TableUnavailable
from placement.model import ActorId, ActorRecord, Answer, Operation
from placement.table import Table
from runtimes.base import Exit, Handle, Inspection, SandboxSpec
from tests.lifecycle.host.fakes import FakeDriver


@dataclass(slots=True)
class Hold:
    """Somebody who came to the point stands there until `go` is set."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


class Points:
    """`start` is before the call, `start done` after it; a name not armed is passed."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}
        self._errors: dict[str, list[Exception]] = {}
        self.passed: Counter[str] = Counter()

    def hold(self, name: str) -> Hold:
        """The next one to come to it."""
        hold = self._holds[name] = Hold()
        return hold

    def fail(self, name: str, error: Exception, times: int = 1) -> None:
        self._errors[name] = [error] * times

    def heal(self) -> None:
        self._errors.clear()

    async def at(self, name: str) -> None:
        self.passed[name] += 1
        hold = self._holds.pop(name, None)
        if hold is not None:
            hold.came.set()
            await hold.go.wait()
        errors = self._errors.get(name)
        if errors:
            raise errors.pop()

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        await self.at(name)
        yield
        await self.at(f"{name} done")


class HeldDriver(FakeDriver):
    """A FakeDriver whose every act is a point. Cancelled in `start done` it leaves nothing."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self.points = points

    async def start(self, spec: SandboxSpec) -> Handle:
        async with self.points.around("start"):
            handle = await super().start(spec)
            try:
                await self.points.at("start half")
            except BaseException:
                self.exits(spec.slug, Exit(signal=9))
                raise
        return handle

    async def freeze(self, handle: Handle) -> None:
        async with self.points.around("freeze"):
            await super().freeze(handle)

    async def thaw(self, handle: Handle) -> None:
        async with self.points.around("thaw"):
            await super().thaw(handle)

    async def stop(self, handle: Handle, grace_s: float) -> None:
        async with self.points.around("stop"):
            await super().stop(handle, grace_s)

    async def wait(self, handle: Handle) -> Exit:
        await self.points.at("wait")
        return await super().wait(handle)

    async def inspect(self, handle: Handle) -> Inspection:
        await self.points.at("inspect")
        return await super().inspect(handle)

    async def sweep(self, keep: Collection[str]) -> list[str]:
        async with self.points.around("sweep"):
            return await super().sweep(keep)


class HeldTable(Table):
    """The real table, whose calls are points by the operation's name, `read` among them."""

    def __init__(self, redis: Redis, points: Points) -> None:
        super().__init__(redis)
        self.points = points

    def lose(self, operation: str, times: int = 1) -> None:
        """Carry the call out and lose its answer."""
        self.points.fail(f"{operation} done", TableUnavailable(None, "", "lost"), times)

    async def read(self, actor: ActorId) -> ActorRecord | None:
        async with self.points.around("read"):
            return await super().read(actor)

    async def _run(
        self, operation: Operation, actor: ActorId, call: str | None, *own: str | bytes | None
    ) -> Answer:
        async with self.points.around(str(operation)):
            return await super()._run(operation, actor, call, *own)
