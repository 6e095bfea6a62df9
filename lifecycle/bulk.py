"""Many actors in one call: each is its own act with its own end, and one that fails stops none."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from lifecycle.actions import Actions
from lifecycle.errors import ActorExists, LifecycleError, NoSuchActor
from placement.model import ActorId

MOST = 1000
"""Actors in one call."""
_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended with one of them."""

    actor: ActorId
    result: str
    """What was asked for (`created`, `deleted`), what made it needless (`exists`, `absent`), or
    `failed`."""
    message: str = ""


async def create(actions: Actions, actors: Sequence[ActorId], template: str) -> list[Ended]:
    """In the order given; a call that is made again finds what the first one made as `exists`."""

    async def one(actor: ActorId) -> str:
        try:
            await actions.create(actor, template)
        except ActorExists:
            return "exists"
        return "created"

    return await _each(actors, one)


async def delete(actions: Actions, actors: Sequence[ActorId]) -> list[Ended]:
    """With their snapshots; what runs is cut."""

    async def one(actor: ActorId) -> str:
        try:
            await actions.delete(actor)
        except NoSuchActor:
            return "absent"
        return "deleted"

    return await _each(actors, one)


async def _each(actors: Sequence[ActorId], act: Callable[[ActorId], Awaitable[str]]) -> list[Ended]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(actor: ActorId) -> Ended:
        async with room:
            try:
                return Ended(actor=actor, result=await act(actor))
            except LifecycleError as error:
                return Ended(actor=actor, result="failed", message=str(error))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(actor), name=f"bulk {actor}") for actor in actors]
    return [task.result() for task in tasks]
