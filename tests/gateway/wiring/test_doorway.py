"""The door's usher: what an edge said of its route is checked, and the door's errors are told."""

import asyncio

import pytest

from gateway.ingress.seams import Demand, Reason, Refusal
from gateway.wiring.doorway import DoorUsher
from lifecycle.messages import Here
from placement.model import ActorId
from tests.lifecycle.host.fakes import World, soon


def wanting(actor: ActorId, here: Here, **other: object) -> Demand:
    said = {"uid": here.uid, "epoch": here.epoch, "port": "", "deadline": soon(), **other}
    return Demand(actor=actor, request_id="r1", **said)  # type: ignore[arg-type]


async def test_a_request_by_a_good_route_gets_the_workers_own_ticket(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        usher = DoorUsher(worker.door)
        ticket = usher.admit(wanting(actor, here))
        assert ticket is not None and worker.host.residents[actor].gate.tickets == 1
        usher.forget(wanting(actor, here), ticket)  # of no consequence at a door
        assert ticket.is_valid()
        ticket.close()
        waited = await usher.admit_waiting(wanting(actor, here))
        waited.close()
        assert worker.host.residents[actor].gate.tickets == 0


@pytest.mark.parametrize("stale", [{"uid": "0" * 16}, {"epoch": 2}])
async def test_a_stale_route_is_told_before_anything_is_sent(
    world: World, stale: dict[str, object]
) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        usher = DoorUsher(worker.door)
        with pytest.raises(Refusal) as caught:
            usher.admit(wanting(actor, here, **stale))
        assert caught.value.reason is Reason.STALE_ROUTE
        with pytest.raises(Refusal) as caught:
            await usher.admit_waiting(wanting(actor, here, **stale))
        assert caught.value.reason is Reason.STALE_ROUTE


async def test_an_actor_that_is_not_here_is_a_stale_route_and_no_wake(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        usher = DoorUsher(worker.door)
        demand = Demand(actor=actor, uid="0" * 16, epoch=1, deadline=soon())
        assert usher.admit(demand) is None
        with pytest.raises(Refusal) as caught:
            await usher.admit_waiting(demand)
        assert caught.value.reason is Reason.STALE_ROUTE and worker.driver.done == []


async def test_ports_and_deadlines_are_refused_as_at_the_edge(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker() as worker:
        here = await worker.woken(actor)
        usher = DoorUsher(worker.door)
        with pytest.raises(Refusal) as caught:
            usher.admit(wanting(actor, here, port="9999"))
        assert caught.value.reason is Reason.NO_PORT
        worker.host.residents[actor].gate.shut()
        with pytest.raises(Refusal) as caught:
            await usher.admit_waiting(wanting(actor, here, deadline=soon(0.02)))
        assert caught.value.reason is Reason.WAKING
        worker.host.residents[actor].gate.open()
        await asyncio.sleep(0)
