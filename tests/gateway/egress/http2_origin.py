"""A server outside that speaks HTTP/2 alone, by the same library at its other end; what a test
wants it to do wrong, it does by hand."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

Headers = list[tuple[bytes, bytes]]


@dataclass
class Stream:
    """One request, and its answer."""

    on: "Serving"
    number: int
    headers: Headers
    body: bytes = b""

    def field(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    def answer(self, *more: tuple[bytes, bytes], body: bytes = b"", status: bytes = b"200") -> None:
        fields = [(b":status", status), (b"content-length", b"%d" % len(body)), *more]
        self.on.h2.send_headers(self.number, fields, end_stream=not body)
        if body:
            self.on.send(self.number, body, end=True)


Handler = Callable[[Stream], None]


@dataclass
class Http2Origin:
    ca: Path
    handler: Handler
    window: int
    port: int = 0
    connections: int = 0
    streams: list[Stream] = field(default_factory=list)
    open_ones: set[asyncio.BaseTransport] = field(default_factory=set)


class Serving(asyncio.Protocol):
    def __init__(self, origin: Http2Origin) -> None:
        self._origin = origin
        # What a test sends is not looked at: it may be wrong on purpose.
        config = H2Configuration(
            client_side=False,
            header_encoding=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        window = {SettingCodes.INITIAL_WINDOW_SIZE: origin.window}
        self.h2.local_settings = Settings(client=False, initial_values=window)
        self._waiting: dict[int, tuple[bytes, bool]] = {}
        self._streams: dict[int, Stream] = {}
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._origin.connections += 1
        self._origin.open_ones.add(transport)
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._origin.open_ones.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        try:
            events = self.h2.receive_data(data)
        except H2Error:
            self.transport.close()  # it was no HTTP/2
            return
        for event in events:
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                made = Stream(self, event.stream_id, list(event.headers or ()))
                self._streams[event.stream_id] = made
                self._origin.streams.append(made)
            elif isinstance(event, DataReceived):
                assert event.stream_id is not None and event.data is not None
                self._streams[event.stream_id].body += event.data
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id
                )
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                self._origin.handler(self._streams[event.stream_id])
        for number, (rest, end) in list(self._waiting.items()):
            self.send(number, rest, end=end)
        self.flush()

    def send(self, number: int, data: bytes, *, end: bool) -> None:
        """As far as the window lets it go; the rest when it opens."""
        self._waiting.pop(number, None)
        while data:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room <= 0:
                self._waiting[number] = (data, end)
                return
            piece, data = data[:room], data[room:]
            self.h2.send_data(number, piece, end_stream=end and not data)

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


@contextlib.asynccontextmanager
async def http2_origin(
    tmp_path: Path, handler: Handler, *, window: int = 65_535
) -> AsyncIterator[Http2Origin]:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("api.test", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    path = tmp_path / "http2-ca.pem"
    ca.cert_pem.write_to_path(str(path))
    made = Http2Origin(path, handler, window)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Serving(made), "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for each in list(made.open_ones):
            assert isinstance(each, asyncio.Transport)
            each.abort()
