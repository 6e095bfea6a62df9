"""`rouse worker list` and `drain`. The role of that name is tested with gateway.main."""

from placement.model import ActorId, ActorState
from tests.gateway.cli.conftest import Shell


async def test_workers_are_listed(rouse: Shell) -> None:
    lines = (await rouse("worker", "list")).out.splitlines()
    assert lines[1].split() == ["w1", "4", "4", "-", "no", "-", "unix:/w1"]
    (worker,) = (await rouse("worker", "list", "-o", "json")).json["items"]
    assert worker["id"] == "w1"


async def test_a_worker_is_drained(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    await rouse("actor", "wake", "demo/c1")
    assert (await rouse("worker", "drain", "w1")).out == "worker w1 drained: it holds no actor\n"
    record = await rouse.fleet.actions.record(ActorId("demo", "c1"))
    assert record.state is ActorState.SUSPENDED


async def test_an_unknown_worker_ends_with_4(rouse: Shell) -> None:
    assert "there is no worker w9" in (await rouse("worker", "drain", "w9", code=4)).err
