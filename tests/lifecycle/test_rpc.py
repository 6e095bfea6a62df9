"""A worker asked over HTTP: the real server on a unix socket, with a real host or one that refuses
behind it. Each answer and each error arrives as it would in one process."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from lifecycle import errors
from lifecycle.errors import ActorBusy, DependencyAway, LifecycleError, NoSuchActor
from lifecycle.messages import (
    Full,
    Here,
    Refused,
    SuspendAsk,
    There,
    WakeAnswer,
    WakeAsk,
    Worker,
    WorkerStatus,
)
from lifecycle.rpc import Callers, FarWorker, rpc_app
from placement.model import ActorId, ActorState
from tests.lifecycle.host.fakes import World, template

ACTOR = ActorId("demo", "c1")
KEY = "correct-horse-battery-staple"
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, LifecycleError) and kind is not LifecycleError
]


@dataclass(kw_only=True)
class Refusing:
    """A worker that answers everything with one error, and holds `drain` until told."""

    error: Exception
    asked: list[str] = field(default_factory=list)

    def _refuse(self, what: str) -> Exception:
        self.asked.append(what)
        return self.error

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        raise self._refuse("wake")

    async def suspend(self, ask: SuspendAsk) -> None:
        raise self._refuse("suspend")

    async def evict(self) -> bool:
        raise self._refuse("evict")

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        raise self._refuse("logs")

    async def status(self) -> WorkerStatus:
        raise self._refuse("status")

    async def drain(self) -> None:
        raise self._refuse("drain")


@asynccontextmanager
async def far(
    worker: Worker, directory: Path, *, key: str | None = None, shown: str | None = None
) -> AsyncIterator[FarWorker]:
    """`worker` behind its RPC with `key`; the caller shows `shown`."""
    path = directory / "rpc.sock"
    runner = web.AppRunner(rpc_app(worker, key), access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    callers = Callers(shown)
    try:
        yield FarWorker(f"unix:{path}", callers)
    finally:
        await callers.close()
        await runner.cleanup()


async def test_a_wake_over_the_wire_is_the_hosts_own(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        here = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(here, Here) and here.began and here.phases.total > 0
        assert (here.worker, here.epoch) == ("w1", 1)
        again = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(again, Here) and not again.began and again.uid == here.uid


async def test_there_full_and_refused_are_answers_and_no_errors(
    world: World, tmp_path: Path
) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker("w1", slots=1) as one, world.worker("w2", slots=1) as two:
        await one.woken(first)
        async with far(two.host, tmp_path) as it:
            there = await it.wake(WakeAsk(actor=first, wait_ms=10_000))
            assert there == There(worker="w1", rpc="unix:/w1/rpc")
            nobody = await it.wake(WakeAsk(actor=ActorId("demo", "nobody"), wait_ms=10_000))
            assert isinstance(nobody, Refused) and nobody.error == "NoSuchActor"
            await two.woken(second)
            full = await it.wake(WakeAsk(actor=first, wait_ms=10_000))
            assert full == Full(evictable=False)


async def test_a_caller_that_hangs_up_does_not_end_the_wake(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            gone = group.create_task(it.wake(WakeAsk(actor=actor, wait_ms=10_000)))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            gone.cancel()
        worker.driver.go.set()
        here = await it.wake(WakeAsk(actor=actor, wait_ms=10_000))
        assert isinstance(here, Here) and worker.driver.counted("start") == 1


async def test_suspend_evict_status_logs_and_drain(world: World, tmp_path: Path) -> None:
    await world.apply(template(idle={"suspendAfter": "1h"}))
    actor, other = await world.create("c1"), await world.create("c2")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        here = await worker.woken(actor)
        status = await it.status()
        assert [(r.actor, r.state, r.epoch) for r in status.actors] == [(actor, "running", 1)]
        worker.places.log(here.uid).write_bytes(b"one\ntwo\n")
        assert await it.logs(actor, 4) == b"two\n"
        await it.suspend(SuspendAsk(actor=actor))
        assert await it.evict() is False
        await worker.woken(other)
        worker.host.residents[other].gate.last_active -= 60
        assert await it.evict() is True
        await worker.woken(actor)
        await it.drain()
        assert (await it.status()).draining and worker.host.residents == {}
        for each in (actor, other):
            record = await world.table.read(each)
            assert record is not None and record.state is ActorState.SUSPENDED and record.snapshot


async def test_a_busy_actor_is_busy_over_the_wire_too(world: World, tmp_path: Path) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker, far(worker.host, tmp_path) as it:
        await worker.woken(actor)
        ticket = worker.door.admit(actor)
        assert ticket is not None
        with pytest.raises(ActorBusy, match="1 open requests"):
            await it.suspend(SuspendAsk(actor=actor))
        assert ticket.is_valid()
        ticket.close()
        with pytest.raises(NoSuchActor):
            await it.suspend(SuspendAsk(actor=ActorId("demo", "nobody")))


@pytest.mark.parametrize("kind", KINDS)
async def test_every_error_arrives_as_itself(kind: type[LifecycleError], tmp_path: Path) -> None:
    error = kind("why it was refused", actor=ACTOR)
    error.retry_after_s = 7.0
    async with far(Refusing(error=error), tmp_path) as it:
        for call in (
            it.wake(WakeAsk(actor=ACTOR, wait_ms=1)),
            it.suspend(SuspendAsk(actor=ACTOR)),
            it.logs(ACTOR, 10),
        ):
            with pytest.raises(LifecycleError, match="why it was refused") as caught:
                await call
            assert type(caught.value) is kind
            assert (caught.value.actor, caught.value.retry_after_s) == (ACTOR, 7.0)


@pytest.mark.parametrize("shown", [None, "wrong-horse-battery-staple", KEY + "x", ""])
async def test_without_the_key_nothing_is_learnt_or_done(shown: str | None, tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("no actor demo/c1"))
    async with far(worker, tmp_path, key=KEY, shown=shown) as it:
        with pytest.raises(DependencyAway, match="answered 401"):
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))
        with pytest.raises(DependencyAway, match="answered 401"):
            await it.drain()
    assert worker.asked == []


async def test_with_the_key_it_answers(tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("no actor demo/c1"))
    async with far(worker, tmp_path, key=KEY, shown=KEY) as it:
        with pytest.raises(NoSuchActor):
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))


async def test_a_mistake_of_the_worker_is_no_secret_to_give_away(tmp_path: Path) -> None:
    async with far(Refusing(error=RuntimeError("password=hunter2")), tmp_path) as it:
        with pytest.raises(DependencyAway, match="answered 500") as caught:
            await it.wake(WakeAsk(actor=ACTOR, wait_ms=1))
        assert "hunter2" not in str(caught.value)


async def test_a_worker_that_is_gone_is_away_at_once(tmp_path: Path) -> None:
    callers = Callers(None)
    for rpc in (f"unix:{tmp_path}/nowhere.sock", "127.0.0.1:1"):
        with pytest.raises(DependencyAway, match="cannot be reached"):
            async with asyncio.timeout(2):
                await FarWorker(rpc, callers).wake(WakeAsk(actor=ACTOR, wait_ms=60_000))
    await callers.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"actor":["demo","c1"],"wait_ms":"soon"}', 400),
        (b'{"wait_ms":1}', 400),
        (b"x" * 70_000, 413),
    ],
)
async def test_a_call_that_is_none_is_refused_before_the_worker_sees_it(
    body: bytes, status: int, tmp_path: Path
) -> None:
    worker = Refusing(error=NoSuchActor("x"))
    async with far(worker, tmp_path):
        connector = aiohttp.UnixConnector(str(tmp_path / "rpc.sock"))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.post("http://worker/rpc/v1/wake", data=body) as answer:
                assert answer.status == status
    assert worker.asked == []


async def test_an_answer_that_is_none_of_ours_is_a_worker_that_is_away(tmp_path: Path) -> None:
    """Another program on that address, or a worker of another version."""

    for status in (200, 409, 302):

        async def foreign(_request: web.Request, status: int = status) -> web.Response:
            return web.Response(status=status, text="<html>hello</html>")

        app = web.Application()
        app.router.add_post("/{path:.*}", foreign)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / f"{status}.sock")).start()
        callers = Callers(None)
        it = FarWorker(f"unix:{tmp_path}/{status}.sock", callers)
        for call in (it.wake(WakeAsk(actor=ACTOR, wait_ms=1)), it.evict(), it.status()):
            with pytest.raises(DependencyAway):
                await call
        await callers.close()
        await runner.cleanup()
