"""The admin application as a whole: its pages stand beside the API behind one guard."""

from aiohttp.test_utils import TestClient, TestServer

from gateway.control.api import make_probe_app
from gateway.control.guard import Guard
from gateway.control.health import Health
from tests.gateway.control.serving import LOOPBACK, Admin


async def test_the_index_names_what_there_is(admin: Admin) -> None:
    text = await admin.ask("GET", "/")
    assert "/openapi.json" in text and "/metrics" in text


async def test_metrics_are_what_the_callable_gives_in_prometheus_own_type(admin: Admin) -> None:
    async with admin.session.get(admin.url + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert await answer.read() == b"rouse_slots 4\n"


async def test_a_role_without_an_api_has_probes_and_metrics() -> None:
    app = make_probe_app(
        guard=Guard(address=LOOPBACK), health=Health(), metrics=lambda: b"rouse_slots 4\n"
    )
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/readyz")).text() == "ok\n"
        assert await (await client.get("/metrics")).read() == b"rouse_slots 4\n"
        assert (await client.get("/v1/workers")).status == 404
