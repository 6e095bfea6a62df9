"""Probes answer from callables: 200 when all is well, else 503 with why not."""

from gateway.control.health import Health
from tests.fake_worker import FakeFleet
from tests.gateway.control.serving import serving


async def test_a_process_that_is_not_ready_says_why(fleet: FakeFleet) -> None:
    troubles: list[str] = ["no worker has a lease"]
    health = Health(ready=lambda: troubles[0] if troubles else None)
    async with serving(fleet, health=health) as admin:
        assert await admin.ask("GET", "/healthz") == "ok\n"
        assert await admin.ask("GET", "/readyz", status=503) == "no worker has a lease\n"
        troubles.clear()
        assert await admin.ask("GET", "/readyz") == "ok\n"


async def test_a_process_that_is_not_alive_says_why(fleet: FakeFleet) -> None:
    async with serving(fleet, health=Health(alive=lambda: "the lease is lost")) as admin:
        assert await admin.ask("GET", "/healthz", status=503) == "the lease is lost\n"
