"""Repeats one call to the table until its answer is known: the same call, never another one."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from placement.errors import TableUnavailable
from placement.model import Answer, new_uid

_FIRST_S = 0.01
_LONGEST_S = 0.5


async def until_known(
    attempt: Callable[[str], Awaitable[Answer]], *, deadline: float, call: str | None = None
) -> Answer:
    """The answer of `attempt(call)`, asked again with the same id while Redis is away. Raises
    TableUnavailable when the loop's clock passes `deadline`: then it is still not known."""
    call = call or new_uid()
    pause_s = _FIRST_S
    last = TableUnavailable(None, call, "no time left")
    try:
        async with asyncio.timeout_at(deadline):
            while True:
                try:
                    return await attempt(call)
                except TableUnavailable as error:
                    last = error
                # Jitter: after an outage not everybody comes back in the same millisecond.
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, _LONGEST_S)
    except TimeoutError:
        raise TableUnavailable(last.actor, call, str(last.__cause__ or last)) from last
