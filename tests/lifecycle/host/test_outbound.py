"""The way out of a copy: opened before its program starts, closed with it, and P5 by it."""

import asyncio
from pathlib import Path

from lifecycle.errors import StartFailed
from lifecycle.host.outbound import Line, Outfit
from lifecycle.messages import Refused, SuspendAsk
from placement.model import ActorState
from runtimes.base import Handle
from tests.lifecycle.host.fakes import World, template


class FakeOutbound:
    """Notes what it is told; `lines` are the open ones."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.told: list[str] = []
        self.cuts = 0
        self.calling = False

    def open(self, line: Line, *, near: str, ports: frozenset[int]) -> Outfit:
        self.told.append("open")
        self.lines[line.slug] = line
        line.on_cut(lambda: self._cut(line))
        return Outfit({"HTTPS_PROXY": "http://proxy"}, (Path("/shown"),))

    async def lead(self, line: Line, handle: Handle) -> None:
        assert handle.slug == line.slug
        self.told.append("lead")

    def close(self, slug: str) -> None:
        if self.lines.pop(slug, None) is not None:
            self.told.append("close")

    def _cut(self, line: Line) -> None:
        if self.calling:
            self.calling = False
            self.cuts += 1
            line.end_call()

    @property
    def only(self) -> Line:
        (line,) = self.lines.values()
        return line


async def test_a_line_lives_as_long_as_its_copy(world: World) -> None:
    actor = await world.create("c1")
    out = FakeOutbound()
    async with world.worker(outbound=out) as worker:
        await worker.woken(actor)
        line = out.only
        record = await world.table.read(actor)
        assert record is not None and line.uid == record.uid and line.epoch == record.epoch
        assert line.is_here() and str(line.actor) == "demo/c1" and line.policy == "default"
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert out.told == ["open", "lead", "close"] and not line.is_here()
        await worker.woken(actor)
        assert out.only.slug != line.slug and not line.is_here()


async def test_a49_an_open_call_keeps_it_and_its_end_lets_it_sleep(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "10ms", "suspendAfter": "20ms"}))
    actor = await world.create("c1")
    out = FakeOutbound()
    async with world.worker(outbound=out) as worker:
        async with asyncio.timeout(20):
            await worker.woken(actor)
            line = out.only
            line.begin_call()
            await asyncio.sleep(0.2)  # ten times its idle time
            assert line.is_here() and worker.meters.suspends.total() == 0
            line.end_call()
            while worker.host.residents:
                await asyncio.sleep(0.01)


async def test_a_call_that_was_on_its_way_takes_a_freeze_back(world: World) -> None:
    """It was written before the freeze and is read by the proxy after it."""
    await world.apply(template(idle={"freezeAfter": "10ms", "suspendAfter": "never"}))
    actor = await world.create("c1")
    out = FakeOutbound()
    async with world.worker(outbound=out) as worker:
        async with asyncio.timeout(20):
            await worker.woken(actor)
            residence = worker.host.residents[actor]
            while not residence.is_frozen:
                await asyncio.sleep(0.005)
            out.only.begin_call()
            while residence.is_frozen:
                await asyncio.sleep(0.005)
            out.only.end_call()


async def test_a_forced_suspend_cuts_calls(world: World) -> None:
    actor = await world.create("c1")
    out = FakeOutbound()
    async with world.worker(outbound=out) as worker:
        await worker.woken(actor)
        out.only.begin_call()
        out.calling = True
        async with asyncio.timeout(20):
            await worker.host.suspend(SuspendAsk(actor=actor, force=True))
        assert out.cuts == 1
        record = await world.table.read(actor)
        assert record is not None and record.state is ActorState.SUSPENDED


async def test_a_policy_that_nobody_carries_out_is_no_start(world: World) -> None:
    await world.apply(template(egress={"policy": "strict"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        answer = await worker.wake(actor)
        assert isinstance(answer, Refused) and answer.error == StartFailed.__name__
        assert "no egress proxy" in answer.message
