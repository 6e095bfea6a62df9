"""Whose turn it is, as values and in one loop; what a turn is good for is test_wake's."""

import asyncio
import random

import pytest

from lifecycle.errors import QueueFull
from lifecycle.turns import Turns


async def test_namespaces_come_in_turn_and_within_one_who_came_first() -> None:
    turns, order = Turns(at_once=1), list[str]()

    async def search(namespace: str, name: str) -> None:
        await turns.take(namespace)
        order.append(name)
        turns.give_back(found_room=True)

    await turns.take("other")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for n in range(5):
            group.create_task(search("herd", f"herd-{n}"))
        for n in range(2):
            group.create_task(search("small", f"small-{n}"))
        while turns.waiting < 7:
            await asyncio.sleep(0)
        turns.give_back(found_room=True)
    assert order == ["herd-0", "small-0", "herd-1", "small-1", "herd-2", "herd-3", "herd-4"]
    assert repr(turns) == "<Turns 0 waiting of 0 namespaces>"


async def test_a_herd_leaves_places_to_wait_for_the_others() -> None:
    turns = Turns(at_once=1, most=8)
    await turns.take("herd")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        herd = [group.create_task(_refused(turns, "herd")) for _ in range(20)]
        while turns.waiting < 4:
            await asyncio.sleep(0)
        small = [group.create_task(_refused(turns, "small")) for _ in range(5)]
        while turns.waiting < 6:
            await asyncio.sleep(0)
        turns.give_back(found_room=True)
    assert sum(task.result() for task in herd) == 16
    assert sum(task.result() for task in small) == 3


async def _refused(turns: Turns, namespace: str) -> bool:
    try:
        await turns.take(namespace)
    except QueueFull:
        return True
    turns.give_back(found_room=True)
    return False


@pytest.mark.parametrize("seed", range(20))
async def test_no_turn_is_lost_whoever_leaves_and_when(seed: int) -> None:
    """Cancelled while they wait, in the moment their turn comes, and while they hold it."""
    rng, turns = random.Random(seed), Turns(at_once=2)

    async def search(namespace: str) -> None:
        async with turns.place(namespace) as place:
            if await place.has_turn(asyncio.get_running_loop().time() + rng.uniform(0, 0.02)):
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                if rng.random() < 0.3:
                    await place.no_room()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = [group.create_task(search(f"n{rng.randrange(3)}")) for _ in range(60)]
        while not all(task.done() for task in tasks):
            rng.choice(tasks).cancel()
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
    assert turns.waiting == 0
    async with asyncio.timeout(1):
        for _ in range(2):
            await turns.take("after")


async def test_the_pause_grows_while_there_is_no_room_and_begins_anew_with_it() -> None:
    turns = Turns(at_once=1)
    first = turns.pause_s
    for _ in range(10):
        await turns.take("a")
        turns.give_back(found_room=False)
    assert first < turns.pause_s <= 0.25
    await turns.take("a")
    turns.give_back(found_room=True)
    assert turns.pause_s == first
