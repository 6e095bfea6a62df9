"""The gate: counting, waiting, ending. Who opens and shuts it is the residence's business."""

import asyncio

import pytest

from lifecycle.errors import NoSuchPort, QueueFull
from lifecycle.host.gate import Gate
from placement.model import ActorId
from placement.tenure import Tenure, boot_time
from runtimes.base import Endpoint

ACTOR = ActorId("demo", "c1")
ENDPOINTS = {
    "http": Endpoint(host="127.0.0.1", port=20001, declared=8080),
    "debug": Endpoint(host="127.0.0.1", port=20002, declared=9000),
}


class Stirs:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def gate_of(stirs: Stirs) -> Gate:
    gate = Gate(
        ACTOR,
        clock=asyncio.get_running_loop().time,
        stir=stirs,
    )
    gate.is_running, gate.tenure = True, Tenure(boot_time() + 3600)
    gate.lead_to("rouse-abc-1", ENDPOINTS)
    return gate


async def test_a_shut_gate_gives_no_ticket() -> None:
    gate = gate_of(Stirs())
    assert gate.take("") is None
    gate.open()
    assert gate.take("") is not None


async def test_a_worker_without_a_lease_gives_no_ticket_and_its_tickets_are_not_valid() -> None:
    for lose in (lambda g: g.tenure.end(), lambda g: setattr(g, "is_running", False)):
        gate = gate_of(Stirs())
        gate.open()
        ticket = gate.take("")
        assert ticket is not None and ticket.is_valid()
        lose(gate)
        assert not ticket.is_valid()
        assert gate.take("") is None
        ticket.close()


async def test_the_last_ticket_given_back_stirs_the_residence() -> None:
    stirs = Stirs()
    gate = gate_of(stirs)
    gate.open()
    first, second = gate.take(""), gate.take("")
    assert first is not None and second is not None and gate.tickets == 2
    first.close()
    assert (gate.tickets, stirs.count) == (1, 0)
    second.close()
    assert (gate.tickets, stirs.count) == (0, 1)
    assert not second.is_valid()


async def test_ports_by_name_and_by_declared_number() -> None:
    gate = gate_of(Stirs())
    gate.open()
    found = [gate.take(port) for port in ("", "http", "debug", "8080", "9000")]
    ports = [ticket.target.port for ticket in found if ticket is not None]
    assert ports == [20001, 20001, 20002, 20001, 20002]
    with pytest.raises(NoSuchPort):
        gate.take("22")


async def test_a22_a_cancelled_waiter_frees_its_place_at_once() -> None:
    gate = gate_of(Stirs())
    async with asyncio.TaskGroup() as group:
        waiter = group.create_task(gate.wait_open(asyncio.get_running_loop().time() + 60))
        while not gate.waiting:
            await asyncio.sleep(0)
        waiter.cancel()
    assert gate.waiting == 0


async def test_a13_the_queue_is_bounded_and_empties() -> None:
    gate = gate_of(Stirs())
    gate.queue = 1
    deadline = asyncio.get_running_loop().time() + 60
    async with asyncio.TaskGroup() as group:
        group.create_task(gate.wait_open(deadline))
        while not gate.waiting:
            await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await gate.wait_open(deadline)
        gate.open()
    assert gate.waiting == 0


async def test_a_waiter_whose_time_is_over_leaves() -> None:
    gate = gate_of(Stirs())
    with pytest.raises(TimeoutError):
        await gate.wait_open(asyncio.get_running_loop().time())
    assert gate.waiting == 0


async def test_letting_go_ends_every_wait() -> None:
    gate = gate_of(Stirs())
    deadline = asyncio.get_running_loop().time() + 60
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(gate.wait_open(deadline))
        while gate.waiting < 3:
            await asyncio.sleep(0)
        gate.let_go()
    assert (gate.waiting, gate.is_open) == (0, False)


async def test_cutting_calls_whoever_left_a_way_to_be_cut() -> None:
    gate = gate_of(Stirs())
    gate.open()
    ticket = gate.take("")
    assert ticket is not None
    cut: list[str] = []
    ticket.on_cut(lambda: cut.append("cut"))
    assert gate.cut_all() == 1 and cut == ["cut"]
    ticket.close()
    assert gate.cut_all() == 0


async def test_a4_a33_a_quiet_ticket_holds_the_actor_but_is_no_activity() -> None:
    gate = gate_of(Stirs())
    gate.open()
    gate.last_active = before = gate.last_active - 60
    ticket = gate.take("", quiet=True)
    assert ticket is not None and gate.tickets == 1
    ticket.touch()
    ticket.close()
    assert gate.last_active == before and gate.tickets == 0
    loud = gate.take("")
    assert loud is not None
    loud.close()
    assert gate.last_active > before


async def test_calls_are_counted_and_cut_by_who_carries_them() -> None:
    stirs = Stirs()
    gate = gate_of(stirs)
    gate.begin_call()
    gate.begin_call()
    gate.end_call()
    assert gate.calls == 1 and stirs.count == 2
    gate.cut_calls = gate.end_call
    assert gate.cut_all() == 1 and gate.calls == 0
