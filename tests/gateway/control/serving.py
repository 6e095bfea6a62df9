"""The admin application on a port of the kernel's choice, over a fake fleet and the real table."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from redis.asyncio import Redis

from gateway.actor_tokens import ActorTokens, TokenKey
from gateway.control.api import make_app
from gateway.control.guard import Guard
from gateway.control.health import Health
from lifecycle.trust import Address
from placement.table import Table
from tests.fake_worker import FakeFleet

LOOPBACK = Address(host="127.0.0.1", port=0)
TOKENS = ActorTokens([TokenKey(id="k1", secret=b"s" * 32)])


class Admin:
    """A client of the served API that knows only HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str, fleet: FakeFleet) -> None:
        self.session = session
        self.url = url
        self.fleet = fleet

    async def ask(
        self, method: str, path: str, body: object = None, *, status: int = 200, **rest: Any
    ) -> Any:
        """The JSON (or text) of the answer, which must be of `status`."""
        if body is not None or method in ("POST", "PUT"):
            rest["json"] = {} if body is None else body
        async with self.session.request(method, self.url + path, **rest) as answer:
            assert answer.status == status, await answer.text()
            assert answer.headers["X-Request-Id"]
            if answer.content_type == "application/json":
                return await answer.json()
            return await answer.text()

    async def fault(
        self, method: str, path: str, body: object = None, *, status: int, **rest: Any
    ) -> dict[str, Any]:
        """The `error` of a refused request."""
        answer = await self.ask(method, path, body, status=status, **rest)
        error: dict[str, Any] = answer["error"]
        assert set(error) == {"code", "reason", "message", "actor", "request_id"}
        assert error["code"] == status
        return error


@asynccontextmanager
async def serving(
    fleet: FakeFleet,
    *,
    guard: Guard | None = None,
    health: Health | None = None,
    tokens: ActorTokens | None = TOKENS,
) -> AsyncIterator[Admin]:
    app = make_app(
        fleet.actions,
        fleet.templates,
        fleet.namespaces,
        guard=guard or Guard(address=LOOPBACK),
        health=health or Health(),
        metrics=lambda: b"rouse_slots 4\n",
        tokens=(lambda: tokens) if tokens is not None else None,
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield Admin(session, f"http://{host}:{port}", fleet)
    finally:
        await runner.cleanup()


@pytest.fixture
async def fleet(redis: Redis, table: Table) -> FakeFleet:
    fleet = FakeFleet(redis=redis, table=table)
    await fleet.add("w1")
    return fleet


@pytest.fixture
async def admin(fleet: FakeFleet) -> AsyncIterator[Admin]:
    async with serving(fleet) as served:
        yield served
