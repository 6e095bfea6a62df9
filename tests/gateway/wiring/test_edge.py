"""The edge's way to an actor: routes that are remembered, doubted and dropped, and the short way
to actors of its own process. Real hosts on the real table; the doors are asked directly."""

import asyncio
import re
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.ingress.codec.request import RequestFields
from gateway.ingress.naming import EdgeNaming
from gateway.ingress.seams import Demand, Reason, Refusal, Ticket
from gateway.wiring.edge import DoorTarget, EdgeUsher
from lifecycle.host.residence import Phase
from lifecycle.messages import Here, Phases, SuspendAsk
from placement.changes import ActorChanged, Resync, TemplateChanged
from placement.model import ActorId, ActorState
from tests.lifecycle.gateway_side import GatewaySide, gateway_side
from tests.lifecycle.host.fakes import TestWorker, World, soon, template

KEY = "hop-key"


def wanting(actor: ActorId, port: str = "", wait_s: float = 20.0) -> Demand:
    return Demand(actor=actor, port=port, request_id="r1", deadline=soon(wait_s))


def epoch_of(ticket: Ticket) -> int:
    found = re.search(rb"Rouse-Epoch: (\d+)\r\n", ticket.hop_fields)
    assert found is not None
    return int(found[1])


def moved(actor: ActorId, ticket_epoch: int, state: ActorState | None, uid: str) -> ActorChanged:
    return ActorChanged(
        actor=actor, uid=uid, epoch=ticket_epoch, revision=9, state=state, door="unix:/d"
    )


@asynccontextmanager
async def edge(
    world: World, *workers: TestWorker, local: TestWorker | None = None, most: int = 100
) -> AsyncIterator[tuple[EdgeUsher, GatewaySide]]:
    known = (*workers, local) if local is not None else workers
    async with gateway_side(world, *known) as side:
        usher = EdgeUsher(
            side.waker,
            local=local.door if local else None,
            local_worker=local.host.worker if local else "",
            hop_key=KEY,
            most_routes=most,
        )
        yield usher, side


async def test_a_woken_actors_route_is_remembered_and_needs_nobody_then(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, side):
        assert usher.admit(wanting(actor)) is None
        first = await usher.admit_waiting(wanting(actor))
        assert first.wake is not None and first.wake.kind == "cold" and first.is_hop
        second = usher.admit(wanting(actor))
        assert second is not None and second.wake is None
        assert second.hop_fields == first.hop_fields and second.pool_key == first.pool_key
        record = await world.table.read(actor)
        assert record is not None
        assert (
            second.hop_fields
            == (
                f"Rouse-Actor: demo/c1\r\nRouse-Uid: {record.uid}\r\nRouse-Epoch: 1\r\n"
                f"Rouse-Hop-Key: {KEY}\r\n"
            ).encode()
        )
        assert side.counted("wake") == 1


async def test_what_ran_already_is_found_without_a_word_of_a_wake(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, side):
        await worker.woken(actor)
        ticket = await usher.admit_waiting(wanting(actor))
        assert ticket.wake is None and side.calls == {}


async def test_each_port_has_its_own_fields_and_no_name_fills_the_memory(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, _):
        await usher.admit_waiting(wanting(actor))
        for port in ("", "debug", "8080"):
            ticket = usher.admit(wanting(actor, port))
            assert ticket is not None
            assert (f"Rouse-Port: {port}\r\n".encode() in ticket.hop_fields) == bool(port)
        for number in range(1000):
            usher.admit(wanting(actor, str(number)))
        assert len(usher._routes[actor]._tickets) <= 65


async def test_routes_are_bounded_the_oldest_goes(world: World) -> None:
    actors = [await world.create(f"c{n}") for n in range(3)]
    async with world.worker("w1") as worker, edge(world, worker, most=2) as (usher, _):
        for actor in actors:
            await usher.admit_waiting(wanting(actor))
        assert repr(usher) == "<EdgeUsher 2 routes, 0 distrusted>"
        assert [usher.admit(wanting(actor)) is None for actor in actors] == [True, False, False]


async def test_a15_ten_thousand_routes_cost_a_request_neither_time_nor_memory(
    world: World,
) -> None:
    """Nor a word with the table: what is known is found by one look into memory."""
    async with edge(world, most=20_000) as (usher, _):
        actors = [ActorId("demo", f"c{n}") for n in range(10_000)]

        def known(some: list[ActorId]) -> None:
            for actor in some:
                here = Here(uid="u", epoch=1, worker="w", door="unix:/d", phases=Phases())
                usher._remember(actor, here)
                assert usher.admit(wanting(actor)) is not None

        def least_s() -> float:
            """The best of several rounds: what the machine does beside it is not counted."""
            demands = [wanting(actor) for actor in actors[:100]]
            rounds = []
            for _ in range(20):
                began = time.perf_counter()
                for demand in demands:
                    usher.admit(demand)
                rounds.append(time.perf_counter() - began)
            return min(rounds)

        known(actors[:100])
        few_s = least_s()
        known(actors)
        before = await world.redis.info("stats")
        assert least_s() < 5 * few_s
        tracemalloc.start()
        try:
            for actor in actors:
                usher.admit(wanting(actor))
            assert tracemalloc.get_traced_memory()[0] < 100_000  # not ten bytes each
        finally:
            tracemalloc.stop()
        after = await world.redis.info("stats")
        asked = after["total_commands_processed"] - before["total_commands_processed"]
        assert asked <= 50, asked  # leases, by the clock; none by the request


async def test_doubts_are_bounded_too(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker, most=3) as (usher, _):
        ticket = await usher.admit_waiting(wanting(actor))
        for number in range(50):  # each of them deleted, say, and never asked for again
            usher.forget(wanting(ActorId("demo", f"gone{number}")), ticket)
        assert len(usher._distrusted) <= 3


# Routes that are over ------------------------------------------------------------------------


async def test_a_stale_route_makes_the_worker_be_asked_and_not_the_table(world: World) -> None:
    """The table still says RUNNING at w1, whose door does not have it any more."""
    actor = await world.create("c1")
    async with world.worker("w2") as two:
        async with world.worker("w1") as one:
            await one.woken(actor)
        async with edge(world, one, two) as (usher, side):
            side.cut.add("w1")
            ticket = await usher.admit_waiting(wanting(actor))
            assert ticket.pool_key == "/w1/door" and side.calls == {}  # as the table has it
            usher.forget(wanting(actor), ticket)
            assert usher.admit(wanting(actor)) is None
            again = await usher.admit_waiting(wanting(actor))
            assert again.pool_key == "/w2/door" and epoch_of(again) == 2
            assert repr(usher) == "<EdgeUsher 1 routes, 0 distrusted>"


async def test_a_newer_route_survives_that_an_older_one_failed(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, _):
        old = await usher.admit_waiting(wanting(actor))
        await worker.host.suspend(SuspendAsk(actor=actor))
        usher.forget(wanting(actor), old)
        new = await usher.admit_waiting(wanting(actor))
        assert (epoch_of(old), epoch_of(new)) == (1, 2)
        usher.forget(wanting(actor), old)  # another request had the old one until now
        assert usher.admit(wanting(actor)) is not None


@pytest.mark.parametrize(
    ("state", "epoch", "uid_matches", "is_kept"),
    [
        (ActorState.RUNNING, 1, True, True),  # checkpointed, or the news of its own wake
        (ActorState.RUNNING, 2, True, False),
        (ActorState.RUNNING, 1, False, False),
        (ActorState.SUSPENDING, 1, True, False),
        (ActorState.SUSPENDED, 1, True, False),
        (ActorState.WAKING, 2, True, False),
        (None, 1, True, False),
    ],
)
async def test_a58_the_feed_ends_a_route(
    world: World, state: ActorState | None, epoch: int, uid_matches: bool, is_kept: bool
) -> None:
    actor, other = await world.create("c1"), await world.create("c2")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, _):
        await usher.admit_waiting(wanting(actor))
        await usher.admit_waiting(wanting(other))
        uid = usher._routes[actor].uid if uid_matches else "0" * 16
        usher.heard(TemplateChanged(namespace="demo", name="counter"))
        usher.heard(moved(ActorId("demo", "stranger"), 1, state, uid))
        assert usher.admit(wanting(actor)) is not None
        usher.heard(moved(actor, epoch, state, uid))
        assert (usher.admit(wanting(actor)) is not None) == is_kept
        assert usher.admit(wanting(other)) is not None


async def test_a_gap_in_the_feed_ends_all_routes(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, side):
        await usher.admit_waiting(wanting(actor))
        usher.heard(Resync())
        assert usher.admit(wanting(actor)) is None
        assert (await usher.admit_waiting(wanting(actor))).wake is None
        assert side.counted("wake") == 1


# The short way -------------------------------------------------------------------------------


async def test_an_actor_of_this_process_is_reached_without_a_hop(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as here, edge(world, local=here) as (usher, side):
        ticket = await usher.admit_waiting(wanting(actor))
        assert not ticket.is_hop and ticket.hop_fields == b""
        assert ticket.wake is not None and ticket.wake.kind == "cold"
        assert here.host.residents[actor].gate.tickets == 1
        warm = usher.admit(wanting(actor))
        assert warm is not None and not warm.is_hop and warm.wake is None
        for each in (ticket, warm):
            each.close()
        assert side.counted("wake") == 1 and here.host.residents[actor].gate.tickets == 0
        assert repr(usher) == "<EdgeUsher 0 routes, 0 distrusted>"


async def test_a_frozen_one_of_this_process_is_thawed_at_its_gate(world: World) -> None:
    await world.apply(template(idle={"freezeAfter": "1ms", "suspendAfter": "never"}))
    actor = await world.create("c1")
    async with world.worker("w1") as here, edge(world, local=here) as (usher, side):
        await here.woken(actor)
        while here.host.residents[actor].phase is not Phase.FROZEN:
            await asyncio.sleep(0.005)
        assert usher.admit(wanting(actor)) is None
        ticket = await usher.admit_waiting(wanting(actor))
        assert ticket.wake is not None and ticket.wake.kind == "thaw" and side.calls == {}
        ticket.close()


async def test_an_actor_of_another_worker_is_reached_by_a_hop(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as here, world.worker("w2") as there:
        async with edge(world, there, local=here) as (usher, _):
            await there.woken(actor)
            ticket = await usher.admit_waiting(wanting(actor))
            assert ticket.is_hop and ticket.pool_key == "/w2/door"


async def test_a_table_that_names_us_for_what_we_lack_is_not_believed_twice(world: World) -> None:
    """A claim and a ready of ours whose answers were lost: RUNNING here by the table, and nobody
    has it. The request must end in a wake, not in a loop."""
    actor = await world.create("c1")
    async with world.worker("w1") as here, edge(world, local=here) as (usher, _):
        claimed = await world.table.claim(actor, here.host.claimant(), budget_ms=60_000)
        assert claimed.record is not None
        await world.table.ready(claimed.record.fence())
        ticket = await usher.admit_waiting(wanting(actor))
        assert ticket.is_valid() and here.host.residents[actor].record.epoch == 2
        ticket.close()


# What is refused -----------------------------------------------------------------------------


async def test_errors_become_refusals_with_the_actors_name(world: World) -> None:
    await world.apply(template(create={"onRequest": False}))
    actor, nobody = await world.create("c1"), ActorId("demo", "nobody")
    async with world.worker("w1") as here, edge(world, local=here) as (usher, _):
        with pytest.raises(Refusal) as caught:
            await usher.admit_waiting(wanting(nobody))
        assert (caught.value.reason, caught.value.actor) == (Reason.NO_ACTOR, nobody)
        await here.woken(actor)
        with pytest.raises(Refusal) as caught:
            usher.admit(wanting(actor, "9999"))
        assert (caught.value.reason, caught.value.actor) == (Reason.NO_PORT, actor)
        here.driver.broken = True
        with pytest.raises(Refusal) as caught:
            await usher.admit_waiting(wanting(await world.create("c2")))
        assert caught.value.reason is Reason.FAILED_START


async def test_r28_each_waits_its_own_time(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1") as worker, edge(world, worker) as (usher, _):
        worker.driver.go.clear()
        async with asyncio.TaskGroup() as group:
            patient = group.create_task(usher.admit_waiting(wanting(actor)))
            with pytest.raises(Refusal) as caught:
                await usher.admit_waiting(wanting(actor, wait_s=0.02))
            assert caught.value.reason is Reason.WAKING
            worker.driver.go.set()
        assert patient.result().wake is not None


# Targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "family", "sockaddr"),
    [
        ("unix:/run/door.sock", socket.AF_UNIX, "/run/door.sock"),
        ("10.0.0.1:7001", socket.AF_INET, ("10.0.0.1", 7001)),
        ("[::1]:7001", socket.AF_INET6, ("::1", 7001)),
    ],
)
def test_a_door_may_be_any_of_three_kinds(
    address: str, family: int, sockaddr: tuple[str, int] | str
) -> None:
    target = DoorTarget(address)
    made = target.open_socket()
    assert (made.family, made.getblocking(), target.sockaddr) == (family, False, sockaddr)
    if family != socket.AF_UNIX:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    made.close()


async def test_a15_ten_thousand_routes_cost_little_memory_and_a_request_still_one_look(
    world: World,
) -> None:
    async with edge(world, most=20_000) as (usher, _):
        here = Here(uid="u" * 26, epoch=3, worker="w1", door="unix:/run/d", phases=Phases())
        actors = [ActorId("demo", f"c{number}") for number in range(10_000)]
        naming = EdgeNaming()
        hosts = [f"{actor.name}.demo.actors.localhost".encode() for actor in actors]
        tracemalloc.start()
        try:
            for actor, host in zip(actors, hosts, strict=True):
                usher._remember(actor, here)
                naming.name(b"/", RequestFields(block=b"", host=host))
            used, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert used / len(actors) < 2048
        for actor in actors:
            assert usher.admit(wanting(actor)) is not None  # without waiting, whichever it is
        for host in hosts:
            fields = RequestFields(block=b"", host=host)
            assert naming.name(b"/", fields) is naming.name(b"/x", fields)
