"""An MCP server over streamable HTTP: a notebook of facts, one per actor.

Facts are in a file. Sessions, and the events that a client may ask for again with Last-Event-ID,
are in memory, as the SDK has them.
"""

import json
import os
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FACTS = Path(os.environ["ROUSE_DATA"]) / "facts.json"
server = MCPServer("facts")


class Events(EventStore):
    """All events of all streams, in the order in which they were made."""

    def __init__(self) -> None:
        self.made: list[tuple[str, object]] = []

    async def store_event(self, stream_id: str, message: object) -> str:
        self.made.append((stream_id, message))
        return str(len(self.made))

    async def replay_events_after(self, last_event_id: str, send: EventCallback) -> str | None:
        seen = int(last_event_id)
        if not 0 < seen <= len(self.made):
            return None
        stream = self.made[seen - 1][0]
        for number, (of, message) in enumerate(self.made[seen:], start=seen + 1):
            if of == stream and message is not None:
                await send(EventMessage(message, str(number)))
        return stream


@server.tool()
def remember(fact: str) -> int:
    """Keep a fact; the number of facts."""
    facts = [*recall(), fact]
    FACTS.with_suffix(".new").write_text(json.dumps(facts))
    FACTS.with_suffix(".new").replace(FACTS)
    return len(facts)


@server.tool()
def recall() -> list[str]:
    """All facts."""
    return json.loads(FACTS.read_text()) if FACTS.exists() else []


@server.tool()
async def think(steps: int, context: Context) -> str:
    """Tell of each step. Half way it lets its stream go, as a network does: a client that asks for
    it again gets what it missed."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        if step == steps // 2:
            await context.close_sse_stream()
    return f"{steps} steps in process {os.getpid()}"


@server.custom_route("/healthz", methods=["GET"])
async def healthz(_: Request) -> Response:
    return PlainTextResponse("ok")


if __name__ == "__main__":
    server.run(
        "streamable-http",
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ["PORT"]),
        event_store=Events(),
        retry_interval=100,
        # Who comes in was decided by the gateway, and the Host is the actor's own name.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
