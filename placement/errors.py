"""What can go wrong with the table, and the one place where Redis' own errors become ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.exceptions as foreign

from placement.model import ActorId

ANSWER_S = 5.0
"""What a call that has no shorter deadline waits for Redis."""

# Error replies of a server that is there but cannot take the call now. MISCONF: disk full.
_PASSING = tuple(
    "MISCONF OOM READONLY NOREPLICAS MASTERDOWN CLUSTERDOWN TRYAGAIN LOADING BUSY".split()
)


class PlacementError(Exception):
    """Root of what this package raises."""


class Unavailable(PlacementError):
    """Redis cannot be reached or cannot take calls now. It may pass; what was asked for may have
    been done all the same."""


class TableUnavailable(Unavailable):
    """No answer to one call on an actor: it may or may not have been carried out. Repeating it
    with the same `call` is safe and tells; another call meanwhile is not safe."""

    def __init__(self, actor: ActorId | None, call: str, why: str = "") -> None:
        about = f" about {actor}" if actor else ""
        super().__init__(f"no answer from the placement table{about}" + (why and f": {why}"))
        self.actor = actor
        self.call = call


class LeaseHeld(PlacementError):
    """The worker's id has a living lease of another incarnation."""

    def __init__(self, worker: str, remaining_ms: int) -> None:
        super().__init__(f"worker {worker} has a living lease, for {remaining_ms} ms more")
        self.worker = worker
        self.remaining_ms = remaining_ms


class RecordRefused(PlacementError):
    """What stands in Redis is not what this version writes; the message names it."""


class AddressRefused(PlacementError, ValueError):
    """A Redis URL that we cannot use; the message says why and has no password in it."""


class ServerFailed(PlacementError):
    """The private server did not start, or its directory is in use; the message says which."""


def passing(error: Exception) -> Unavailable | None:
    """A foreign error that may pass, as ours; None for one that is our own mistake."""
    match error:
        case foreign.ConnectionError() | foreign.TimeoutError() | foreign.ClusterError():
            return Unavailable(str(error) or "no answer in time")
        case OSError() | foreign.RedisClusterException() | foreign.InvalidResponse():
            return Unavailable(str(error) or "no answer in time")
        case foreign.ReadOnlyError() | foreign.OutOfMemoryError() | foreign.AskError():
            return Unavailable(str(error))
        case foreign.ResponseError() if str(error).startswith(_PASSING):
            return Unavailable(str(error))
    return None


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """Around calls by redis-py: bounds them, and raises Unavailable for every foreign error that
    may pass; others are our own mistakes."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except (foreign.RedisError, foreign.RedisClusterException, OSError) as error:
        ours = passing(error)
        if ours is None:
            raise
        raise ours from error
