"""What /metrics tells: the names that dashboards and tests stand on, and counts that are right."""

import asyncio

from gateway.telemetry import Telemetry
from gateway.wiring.readings import of_host, of_quotas, of_relay
from lifecycle.host.residence import Phase
from lifecycle.messages import SuspendAsk
from placement.model import ActorId
from tests.gateway.ingress.support import HOST, FakeUsher, actor, echo, read_answer, running
from tests.gateway.test_telemetry import read
from tests.lifecycle.host.fakes import TestWorker, World, soon, template

IDLE = {"freezeAfter": "1ms", "suspendAfter": "never"}


def told(worker: TestWorker) -> dict[str, dict[str, float]]:
    telemetry = Telemetry()
    telemetry.add(lambda: of_host(worker.host))
    return read(telemetry.render().decode())


async def test_a_fresh_worker_tells_every_state_and_slot_as_a_number(world: World) -> None:
    async with world.worker(slots=3) as worker:
        found = told(worker)
        states = {"waking", "running", "frozen", "suspending", "fenced"}
        assert found["rouse_actors"] == {f"state={state}": 0 for state in states}
        assert found["rouse_slots"] == {"kind=total": 3, "kind=free": 3}
        assert found["rouse_tickets"] == {"": 0} and found["rouse_fenced_total"] == {"": 0}
        assert found["rouse_snapshot_bytes_total"] == {"direction=written": 0, "direction=read": 0}


async def test_a61_a_wake_is_told_by_result_kind_and_phase(world: World) -> None:
    first, second = await world.create("c1"), await world.create("c2")
    async with world.worker(slots=3) as worker:
        await worker.woken(first)
        worker.driver.broken = True
        await worker.wake(second)
        while second in worker.host.residents:
            await asyncio.sleep(0.005)
        found = told(worker)
        assert found["rouse_wakes_total"] == {
            "kind=cold,result=ok": 1,
            "kind=cold,result=failed": 1,
        }
        counts = found["rouse_wake_phase_seconds_count"]
        for phase in ("total", "claim", "fetch", "restore", "ready"):
            assert counts[f"phase={phase}"] == 1
        assert found["rouse_actors"]["state=running"] == 1
        assert found["rouse_slots"] == {"kind=total": 3, "kind=free": 2}


async def test_a81_a_thaw_is_told_apart_from_a_cold_wake(world: World) -> None:
    await world.apply(template(idle=IDLE))
    actor_ = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor_)
        while worker.host.residents[actor_].phase is not Phase.FROZEN:
            await asyncio.sleep(0.005)
        assert told(worker)["rouse_actors"]["state=frozen"] == 1
        ticket = await worker.door.admit_waiting(actor_, deadline=soon())
        found = told(worker)
        assert found["rouse_wakes_total"]["kind=thaw,result=ok"] == 1
        assert found["rouse_tickets"] == {"": 1}
        ticket.close()
        assert told(worker)["rouse_tickets"] == {"": 0}


async def test_a_suspend_is_told_by_result_cause_and_bytes(world: World) -> None:
    actor_ = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor_)
        (worker.data(actor_) / "n").write_bytes(bytes(range(256)) * 16)
        await worker.host.suspend(SuspendAsk(actor=actor_))
        found = told(worker)
        assert found["rouse_suspends_total"] == {"cause=asked,result=committed": 1}
        assert found["rouse_snapshot_bytes_total"]["direction=written"] > 0
        assert found["rouse_slots"]["kind=free"] == 10


async def test_no_actor_is_a_label(world: World) -> None:
    """Thousands of them would be thousands of series."""
    actor_ = await world.create("c1")
    async with world.worker() as worker:
        await worker.woken(actor_)
        assert all("c1" not in labels for values in told(worker).values() for labels in values)


async def test_requests_are_told_by_status_and_by_who_answered() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as it:
        reader, writer = await it.connect()
        for line, host in ((b"GET / HTTP/1.1\r\n", HOST), (b"GET / HTTP/1.1\r\n", b"Host: no\r\n")):
            writer.write(line + host + b"\r\n")
            await read_answer(reader)
        writer.close()
        telemetry = Telemetry()
        telemetry.add(lambda: of_relay(it.relay, "edge"))
        found = read(telemetry.render().decode())
        assert found["rouse_requests_total"] == {
            "relay=edge,source=actor,status=200": 1,
            "relay=edge,source=rouse,status=404": 1,
        }
        for name in ("rouse_inflight", "rouse_parked"):
            assert found[name] == {"relay=edge": 0}
        assert found["rouse_request_seconds_count"] == {"relay=edge": 2}
        assert found["rouse_repeats_total"]["cause=stale-route,relay=edge"] == 0
        assert ActorId("demo", "a1").name not in str(found)


async def test_a_quota_its_use_and_its_refusals_are_told_by_namespace(world: World) -> None:
    actor_, other = await world.create("c1"), await world.create("c2")
    await world.limit("demo", 1)
    async with world.worker() as worker:
        await worker.woken(actor_)
        await worker.wake(other)
        telemetry = Telemetry()
        telemetry.add(lambda: of_quotas(world.quotas, worker.host))
        while other in worker.host.residents:
            await asyncio.sleep(0.005)
        found = read(telemetry.render().decode())
        assert found["rouse_namespace_quota"] == {"namespace=demo": 1}
        assert found["rouse_namespace_running"] == {"namespace=demo": 1}
        assert found["rouse_quota_refused_total"] == {"namespace=demo": 1}
