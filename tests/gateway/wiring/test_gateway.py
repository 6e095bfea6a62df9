"""A gateway put together: a request finds its actor through edge, waker and worker; the admin API
says when it is ready. Kernel-chosen ports, real Redis, a real program."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from gateway.settings import load
from gateway.telemetry import Telemetry
from gateway.wiring.backbone import Keys, backbone
from gateway.wiring.gateway import ControlPart, EdgePart, relay_settings
from gateway.wiring.worker import open_vault, worker_part
from placement.server import PrivateServer
from placement.table import Table
from tests.gateway.test_telemetry import read
from tests.gateway.wiring.starting import KEY, apply_counter, running_parts, settings_of

HOST = {"Host": "c1.demo.actors.localhost"}


@pytest.mark.usefixtures("redis", "table")
async def test_a1_a_request_to_a_name_that_never_ran_is_answered_by_its_actor(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of("up", tmp_path, redis_server.url)
    async with backbone(settings, redis_server.url, Keys.of(None)) as spine:
        await apply_counter(spine)
        async with worker_part(settings, spine) as worker:
            edge = EdgePart(settings, spine, worker)
            assert edge.relay in worker.relays  # so that a freeze drops its connections too
            parts = [*spine.parts(), *worker.parts(), *edge.parts()]
            async with running_parts(parts), aiohttp.ClientSession() as client:
                await worker.host.registered.wait()
                at = await edge.listen()
                async with client.get(f"http://{at}/", headers=HOST) as answer:
                    assert answer.status == 200
                    assert answer.headers["Rouse-Wake"].startswith("cold; total=")
                async with client.get(f"http://{at}/", headers=HOST) as answer:
                    assert answer.status == 200 and "Rouse-Wake" not in answer.headers
                telemetry = Telemetry()
                telemetry.add(edge.read)
                counts = read(telemetry.render().decode())["rouse_requests_total"]
                assert counts == {"relay=edge,source=actor,status=200": 2}
                await worker.host.drain()


@pytest.mark.usefixtures("redis", "table")
async def test_a_gateway_without_a_worker_reaches_one_by_its_door(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    """Two graphs in one process that know each other by the table alone, with a shared key."""
    apart = settings_of("worker", tmp_path / "w", redis_server.url, key=True)
    front = settings_of("gateway", tmp_path / "g", redis_server.url, key=True)
    async with (
        backbone(apart, redis_server.url, Keys.of(KEY)) as theirs,
        backbone(front, redis_server.url, Keys.of(KEY)) as ours,
        worker_part(apart, theirs) as worker,
    ):
        await apply_counter(ours)
        edge = EdgePart(front, ours)
        parts = [*theirs.parts(), *worker.parts(), *ours.parts(), *edge.parts()]
        async with running_parts(parts), aiohttp.ClientSession() as client:
            await worker.host.registered.wait()
            at = await edge.listen()
            async with client.get(f"http://{at}/", headers=HOST) as answer:
                assert answer.status == 200 and "Rouse-Wake" in answer.headers
            # What the next hop was shown never comes back to the client.
            assert not any(name.lower().startswith("rouse-hop") for name in answer.headers)
            assert repr(edge.usher) == "<EdgeUsher 1 routes, 0 distrusted>"
            await worker.host.drain()
            while "1 routes" in repr(edge.usher):  # the feed told of the suspend
                await asyncio.sleep(0.01)


@pytest.mark.usefixtures("redis")
async def test_the_admin_api_says_why_it_is_not_ready_then_that_it_is(
    redis_server: PrivateServer, table: Table, tmp_path: Path
) -> None:
    settings = settings_of("gateway", tmp_path, redis_server.url)
    telemetry = Telemetry()
    async with (
        backbone(settings, redis_server.url, Keys.of(None)) as spine,
        open_vault(settings, None) as vault,
    ):
        edge = EdgePart(settings, spine)
        telemetry.add(edge.read)
        async with (
            running_parts([*spine.parts(), *edge.parts()]),
            ControlPart(settings, spine, edge.waker, vault, telemetry) as control,
            aiohttp.ClientSession(f"http://{control.at}") as client,
        ):
            async with client.get("/readyz") as answer:
                assert answer.status == 503 and "starting" in await answer.text()
            async with client.get("/healthz") as answer:
                assert answer.status == 200
            control.not_ready = None
            async with client.get("/readyz") as answer:
                assert answer.status == 200
            async with client.get("/metrics") as answer:
                assert "rouse_inflight" in read(await answer.text())
            async with client.get("/v1/workers") as answer:
                assert await answer.json() == {"items": []}
        with pytest.raises(OSError):
            socket.create_connection((control.at.host, control.at.port), timeout=1).close()


@pytest.mark.usefixtures("redis")
async def test_with_a_shared_key_the_admin_api_asks_for_it(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of("gateway", tmp_path, redis_server.url, key=True)
    async with (
        backbone(settings, redis_server.url, Keys.of(KEY)) as spine,
        open_vault(settings, None) as vault,
    ):
        edge = EdgePart(settings, spine)
        async with (
            ControlPart(settings, spine, edge.waker, vault, Telemetry()) as control,
            aiohttp.ClientSession(f"http://{control.at}") as client,
        ):
            for key, status in ((None, 401), (spine.keys.rpc, 401), (KEY, 200)):
                headers = {} if key is None else {"Authorization": f"Bearer {key}"}
                async with client.get("/v1/workers", headers=headers) as answer:
                    assert answer.status == status


def test_what_the_settings_say_is_what_the_relay_gets(tmp_path: Path) -> None:
    file = tmp_path / "rouse.yaml"
    file.write_text(
        "edge: {wake_timeout_s: 7, max_parked: 11, trusted_proxies: [10.0.0.0/8], access_log: no}\n"
    )
    edge = load("up", file, {"ROUSE_DATA_DIR": str(tmp_path)}, {}).edge
    made = relay_settings(edge)
    assert (made.wake_s, made.parked) == (7.0, 11)
    assert [str(network) for network in made.trusted] == ["10.0.0.0/8"]
