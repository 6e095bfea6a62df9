"""An MCP server and its official client: sessions and event streams reach the actor that has them
through any gateway, facts are kept in each class, sessions where memory is."""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.programs.stage import PATIENCE_S, Example, apply
from tests.system.apart import Apart, table_server
from tests.system.product import Process, started

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SHORT = {"freezeAfter": "300ms", "suspendAfter": "1500ms"}


def facts(up: Process, ns: str, runtime: str, **changes: Any) -> Example:
    """Run by the Python that has the SDK."""
    return apply(up, "mcp", ns, runtime, command=[sys.executable, "server.py"], **changes)


class ThroughGateways(httpx2.AsyncHTTPTransport):
    """Sends each request through another gateway, and what asks for missed events never through
    the one that began; keeps what went where."""

    def __init__(self, *gateways: Process) -> None:
        super().__init__()
        self._turns = itertools.cycle(gateways)
        self._last = gateways[-1]
        self.resumed: list[tuple[str, str]] = []
        """(session, Last-Event-ID) of what was asked for again."""
        self.sessions: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        session = request.headers.get("mcp-session-id")
        seen = request.headers.get("last-event-id")
        if session is not None:
            self.sessions.add(session)
        if seen is not None:
            assert session is not None
            self.resumed.append((session, seen))
        through = self._last if seen is not None else next(self._turns)
        # The name is in Host already; it need not be resolved here.
        url = request.url.copy_with(host="127.0.0.1", port=through.edge)
        sent = httpx2.Request(
            request.method,
            url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await super().handle_async_request(sent)


@asynccontextmanager
async def client(
    it: Example, actor: str, mode: str, through: ThroughGateways | None = None
) -> AsyncIterator[Client]:
    transport = through or ThroughGateways(it.up)
    url = f"http://{it.up.host(actor, it.ns)['Host']}/mcp"
    async with httpx2.AsyncClient(transport=transport, timeout=PATIENCE_S) as http:
        talk = streamable_http_client(url, http_client=http)
        async with Client(talk, mode=mode) as made:
            yield made


def said(result: CallToolResult) -> Any:
    assert not result.is_error, result
    assert result.structured_content is not None
    return result.structured_content["result"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """Two gateways before one worker."""
    with table_server() as table:
        apart = Apart(tmp_path, table)
        gateways = apart.gateway("g1"), apart.gateway("g2")
        with started(apart.worker("w1"), *gateways):
            yield gateways


async def test_a56_a_client_that_reconnects_reaches_its_actor_through_any_gateway(
    pair: tuple[Process, Process],
) -> None:
    it = facts(pair[0], "mcp-apart", "bubblewrap", idle=SHORT)
    through, steps = ThroughGateways(*pair), list[float]()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async with client(it, "a", "legacy", through) as mcp:
        assert said(await mcp.call_tool("remember", {"fact": "one"})) == 1
        # Half way the server lets the stream go; the client asks the other gateway for the rest.
        told = await mcp.call_tool("think", {"steps": 6}, progress_callback=progress)
        assert said(told).startswith("6 steps in process")
        assert steps == [1, 2, 3, 4, 5, 6], "none missed, none told twice"
        assert through.resumed and {session for session, _ in through.resumed} == through.sessions
        assert len(through.sessions) == 1
        # The client's open GET stream keeps its actor up; one without goes to sleep meanwhile.
        await asyncio.to_thread(it.send, "GET", "idle", "/healthz")
        await asyncio.to_thread(it.asleep, "idle")
        assert await asyncio.to_thread(it.state, "a") == "RUNNING"
    await asyncio.to_thread(it.asleep, "a")


async def test_a54_a_client_without_a_session_finds_the_facts_after_every_sleep(
    up: Process,
) -> None:
    it = facts(up, "mcp-facts", "bubblewrap")
    async with client(it, "a", "auto") as mcp:
        for turn in range(1, 4):
            assert said(await mcp.call_tool("remember", {"fact": f"fact {turn}"})) == turn
            await asyncio.to_thread(it.suspend, "a")
        assert said(await mcp.call_tool("recall")) == ["fact 1", "fact 2", "fact 3"]


def test_a_session_is_lost_with_the_memory_and_lives_on_with_it(up: Process, runtime: str) -> None:
    it = facts(up, f"mcp-{runtime}", runtime)
    told = _post(it, "initialize", {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    })  # fmt: skip
    session = told.headers["mcp-session-id"]
    assert _post(it, "notifications/initialized", None, session).status == 202
    call = {"name": "remember", "arguments": {"fact": "kept"}}
    assert _post(it, "tools/call", call, session).status == 200
    it.suspend("a")
    again = _post(it, "tools/call", call, session)
    # 404 tells a client to begin anew, by the protocol.
    assert again.status == (200 if runtime == "gvisor" else 404)
    if runtime == "gvisor":
        assert b'"result": 2' in again.body or b'"result":2' in again.body


def _post(it: Example, method: str, params: Any, session: str | None = None) -> Any:
    document: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        document |= {"id": 1, "params": params}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **({"Mcp-Session-Id": session} if session else {}),
    }
    return it.send("POST", "a", "/mcp", headers=headers, body=json.dumps(document).encode())
