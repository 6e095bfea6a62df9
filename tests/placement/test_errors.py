"""Which of Redis' errors may pass, and what ours say."""

import asyncio

import pytest
import redis.exceptions as foreign

from placement import errors
from placement.errors import LeaseHeld, TableUnavailable, Unavailable, reaching
from placement.model import ActorId


@pytest.mark.parametrize(
    "passing",
    [
        foreign.ConnectionError("gone"),
        foreign.TimeoutError("slow"),
        foreign.BusyLoadingError("LOADING"),
        foreign.ReadOnlyError("You can't write against a read only replica."),
        foreign.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        foreign.ClusterDownError("CLUSTERDOWN The cluster is down"),
        foreign.MovedError("7 127.0.0.1:7000"),
        foreign.RedisClusterException("no node reachable"),
        foreign.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        ConnectionRefusedError(111, "refused"),
    ],
)
async def test_error_that_may_pass_is_unavailable(passing: Exception) -> None:
    with pytest.raises(Unavailable) as said:
        async with reaching():
            raise passing
    assert said.value.__cause__ is passing and str(said.value)


@pytest.mark.parametrize(
    "ours", [foreign.ResponseError("ERR wrong number of arguments"), KeyError("x")]
)
async def test_our_own_mistake_is_not_called_an_outage(ours: Exception) -> None:
    with pytest.raises(type(ours)):
        async with reaching():
            raise ours


@pytest.mark.looptime
async def test_call_without_an_answer_ends() -> None:
    with pytest.raises(Unavailable, match="no answer in time"):
        async with reaching():
            await asyncio.sleep(3600)
    assert asyncio.get_running_loop().time() == errors.ANSWER_S


async def test_cancel_passes_through() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), reaching():
            await asyncio.sleep(3600)


def test_unavailable_keeps_the_call_and_names_the_actor() -> None:
    error = TableUnavailable(ActorId("demo", "c1"), "call-1", "refused")
    assert error.call == "call-1"
    assert str(error) == "no answer from the placement table about demo/c1: refused"


def test_held_lease_says_for_how_long() -> None:
    assert "250 ms" in str(LeaseHeld("left", 250))
