"""The server behind the proxies: a strict reader that remembers how it understood what came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import h11

MARK = b"x-actor"
"""In every answer of this server, so that its answers can be told from a proxy's."""


@dataclass
class Seen:
    """What has come since the last `clear`."""

    whole: list[bytes] = field(default_factory=list)
    """Targets of the requests that came to their end."""
    nonsense: list[str] = field(default_factory=list)
    """What a strict reader found wrong with what a proxy sent it."""


class Backend:
    """Answers `/odd` with the bytes that it was given, everything else with 200."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.odd = b""
        self.keeps_open = False
        self.port = 0

    def clear(self) -> None:
        self.seen = Seen()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        side = h11.Connection(h11.SERVER)
        seen, request = self.seen, None
        while True:
            try:
                event = side.next_event()
            except h11.RemoteProtocolError as error:
                if side.trailing_data != (b"", True) and "incomplete" not in str(error):
                    seen.nonsense.append(str(error))
                return
            if event is h11.NEED_DATA:
                side.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                seen, request = self.seen, event
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                seen.whole.append(request.target)
                if not await self._answer(side, request, writer):
                    return
                side.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return

    async def _answer(
        self, side: h11.Connection, request: h11.Request, writer: asyncio.StreamWriter
    ) -> bool:
        """False when the connection ends with it."""
        if request.target == b"/odd":
            writer.write(self.odd)
            await writer.drain()
            # To h11 an empty one was sent: it says whether another request may follow.
            side.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
            side.send(h11.EndOfMessage())
            return self.keeps_open
        fields = [(MARK, request.target), (b"content-length", b"2")]
        status = 405 if request.method == b"CONNECT" else 200
        text = side.send(h11.Response(status_code=status, headers=fields, reason=b"So")) or b""
        if request.method != b"HEAD":
            text += side.send(h11.Data(data=b"ok")) or b""
        writer.write(text + (side.send(h11.EndOfMessage()) or b""))
        await writer.drain()
        return side.our_state is h11.DONE and side.their_state is h11.DONE


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    made = Backend()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=2**20)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
