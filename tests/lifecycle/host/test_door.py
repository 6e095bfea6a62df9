"""The door: tickets for what is here, waiting for what is about to be, and no looking elsewhere."""

import asyncio
import inspect

import pytest

from lifecycle import errors
from lifecycle.errors import (
    DependencyAway,
    Fenced,
    LifecycleError,
    NoSuchPort,
    NotHere,
    StartFailed,
    WakeTimedOut,
)
from lifecycle.host.door import error_of, told
from lifecycle.host.residence import Phase
from lifecycle.messages import Phases, Refused, SuspendAsk
from placement.model import ActorId
from tests.lifecycle.host.fakes import World, soon, template

ACTOR = ActorId("demo", "c1")


async def test_what_runs_is_let_in_without_waiting(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        assert worker.door.admit(actor) is None
        here = await worker.woken(actor)
        ticket = worker.door.admit(actor, "http", here.uid, here.epoch)
        assert ticket is not None and ticket.is_valid() and ticket.wake is None
        assert (ticket.is_hop, ticket.hop_fields) == (False, b"")
        ticket.close()
        with pytest.raises(NoSuchPort):
            worker.door.admit(actor, "9999")


async def test_a58_a_route_to_another_copy_is_sent_back(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        for uid, epoch in (("0" * 16, here.epoch), (here.uid, here.epoch + 1)):
            with pytest.raises(NotHere):
                worker.door.admit(actor, "", uid, epoch)
            with pytest.raises(NotHere):
                await worker.door.admit_waiting(actor, uid=uid, epoch=epoch, deadline=soon())
        assert worker.host.residents[actor].gate.tickets == 0


async def test_a_route_of_an_earlier_epoch_leads_to_the_same_actor(world: World) -> None:
    """It was suspended and woken here again since: sending it back would cost a hop for nothing."""
    actor = await world.create("c1")
    async with world.worker() as worker:
        first = await worker.woken(actor)
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert (await worker.woken(actor)).epoch == 2
        ticket = worker.door.admit(actor, "", first.uid, first.epoch)
        assert ticket is not None
        ticket.close()


async def test_what_was_never_here_is_not_woken_by_the_door(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        with pytest.raises(NotHere):
            await worker.door.admit_waiting(actor, deadline=soon())
        assert worker.driver.done == []


async def test_a80_a_thaw_is_told_as_a_thaw(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "1ms", "suspendAfter": "never"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        while worker.host.residents[actor].phase is not Phase.FROZEN:
            await asyncio.sleep(0.005)
        ticket = await worker.door.admit_waiting(actor, deadline=soon())
        assert ticket.wake is not None and ticket.wake.kind == "thaw"
        assert [name for name, _ in ticket.wake.phases] == ["total"]
        assert worker.driver.counted("thaw") == 1 and worker.meters.wakes["ok", "thaw"] == 1
        ticket.close()


async def test_who_comes_during_a_wake_joins_it_and_is_told_where_the_time_went(
    world: World,
) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.wake(actor))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            waiting = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            with pytest.raises(WakeTimedOut, match="still waking"):
                await worker.door.admit_waiting(actor, deadline=soon(0.02))
            worker.driver.go.set()
        ticket = waiting.result()
        assert ticket.wake is not None and ticket.wake.kind == "cold"
        assert [name for name, _ in ticket.wake.phases] == [
            "total",
            "queue",
            "claim",
            "fetch",
            "restore",
            "ready",
        ]
        ticket.close()


async def test_who_comes_during_a_wake_that_fails_is_told_why(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        worker.driver.go.clear()
        worker.driver.broken = True
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.wake(actor))
            while not worker.driver.done:
                await asyncio.sleep(0.005)
            waiting = group.create_task(caught(worker.door.admit_waiting(actor, deadline=soon())))
            await asyncio.sleep(0)
            worker.driver.go.set()
        assert isinstance(waiting.result(), StartFailed)


async def test_who_waits_through_a_suspend_that_is_asked_for_is_woken_anew(world: World) -> None:
    """P4: the request came to a copy that was to go; it gets the next one."""
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        world.store.go.clear()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(worker.host.suspend(SuspendAsk(actor=actor)))
            await world.store.arrived.wait()
            waiting = group.create_task(
                worker.door.admit_waiting(actor, uid=here.uid, epoch=here.epoch, deadline=soon())
            )
            while not worker.host.residents[actor].gate.waiting:
                await asyncio.sleep(0.005)
            world.store.go.set()
        assert asked.result() is None
        ticket = waiting.result()
        assert ticket.is_valid() and ticket.wake is not None and ticket.wake.kind == "cold"
        assert worker.host.residents[actor].record.epoch == 2
        ticket.close()


async def test_a_worker_without_a_lease_lets_nobody_in(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        tenure = worker.host.residents[actor].gate.tenure
        assert tenure is not None
        tenure.end()
        assert worker.door.admit(actor) is None
        with pytest.raises(Fenced, match="no lease"):
            await worker.door.admit_waiting(actor, deadline=soon())


async def test_a22_who_gives_up_waiting_leaves_no_ticket(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "1ms", "suspendAfter": "never"}))
    actor = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor)
        gate = worker.host.residents[actor].gate
        gate.shut()
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(worker.door.admit_waiting(actor, deadline=soon()))
            while not gate.waiting:
                await asyncio.sleep(0)
            waiting.cancel()
        assert (gate.waiting, gate.tickets) == (0, 0)


async def caught(work: object) -> Exception | None:
    assert inspect.isawaitable(work)
    try:
        await work
    except LifecycleError as error:
        return error
    return None


def test_what_a_late_caller_waited_less_than_the_wake_is_no_negative_queue() -> None:
    phases = Phases(total=100, claim=10, fetch=20, restore=30, ready=40)
    assert dict(told(phases, 130.0))["queue"] == 30.0
    assert dict(told(phases, 5.0)) == {
        "total": 5.0,
        "queue": 0.0,
        "claim": 10,
        "fetch": 20,
        "restore": 30,
        "ready": 40,
    }


def test_a_refusal_becomes_the_error_it_names() -> None:
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, LifecycleError):
            error = error_of(Refused(error=name, message="why", retry_after_s=3.0), ACTOR)
            assert type(error) is kind
            assert (str(error), error.actor, error.retry_after_s) == ("why", ACTOR, 3.0)


@pytest.mark.parametrize("name", ["OfALaterVersion", "ActorId", "__builtins__", "", "__doc__"])
def test_a_name_that_is_no_error_of_ours_is_told_as_away(name: str) -> None:
    error = error_of(Refused(error=name, message="why"), ACTOR)
    assert type(error) is DependencyAway and str(error) == "why"
