"""What every residence works with: that the worker keeps what its residences rely on."""

import asyncio
import inspect

import pytest

from lifecycle.host.host import Host
from lifecycle.host.kit import HostSettings, Kit, Owner
from lifecycle.messages import SuspendAsk
from tests.lifecycle.host.fakes import World


async def test_the_next_lease_is_waited_for_however_long_it_takes(world: World) -> None:
    async with world.worker("w1") as worker:
        owner: Owner = worker.host
        before = owner.claimant().incarnation
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(owner.next_lease(before))
            await asyncio.sleep(0)
            assert not waiting.done() and owner.has_lease()
            await world.leases.retire("w1", before)
        assert owner.claimant().incarnation != before and owner.has_lease()


async def test_who_asks_after_the_new_lease_is_there_does_not_wait(world: World) -> None:
    async with world.worker("w1") as worker:
        async with asyncio.timeout(0.1):
            await worker.host.next_lease("an incarnation of long ago")


async def test_what_ended_frees_its_own_slot_and_not_its_successors(world: World) -> None:
    actor = await world.create("c1")
    async with world.worker("w1", slots=1) as worker:
        await worker.woken(actor)
        first = worker.host.residents[actor]
        await worker.host.suspend(SuspendAsk(actor=actor))
        assert worker.host.free == 1
        await worker.woken(actor)
        worker.host.freed(first)
        assert worker.host.free == 0


def test_the_host_is_an_owner() -> None:
    promised = [name for name, _ in inspect.getmembers(Owner, inspect.isfunction) if name[0] != "_"]
    assert promised == [
        "asleep",
        "claimant",
        "fell_asleep",
        "freed",
        "has_lease",
        "has_lost_writes",
        "leave_unsure",
        "next_lease",
        "renew_soon",
        "tenure",
    ]
    for name in promised:
        ours, theirs = inspect.signature(getattr(Host, name)), getattr(Owner, name)
        assert ours.parameters.keys() == inspect.signature(theirs).parameters.keys()


def test_settings_and_kit_do_not_change_under_their_residences() -> None:
    with pytest.raises(AttributeError):
        HostSettings().slots = 5  # type: ignore[misc]
    assert not hasattr(Kit, "__dict__") or "__slots__" in vars(Kit)
