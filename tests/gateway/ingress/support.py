"""A relay on real sockets, an usher with behaviour, and small actors that do as they are told."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.ingress.accesslog import AccessLog
from gateway.ingress.auth.gatekeeper import Gatekeeper
from gateway.ingress.naming import EdgeNaming, Naming
from gateway.ingress.relay import Relay
from gateway.ingress.seams import Demand, Refusal, Ticket, Usher, WakeReport
from gateway.ingress.server import Listen
from gateway.ingress.settings import RelaySettings

HOST = b"Host: a1.demo.actors.localhost\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STALE = b"HTTP/1.1 421 Misdirected Request\r\nRouse-Stale: 1\r\nContent-Length: 0\r\n\r\n"
HOP = b"Rouse-Actor: demo/a1\r\n"
SCALE = 10.0
"""No wait in these tests takes longer on the slowest machine."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class TcpTarget:
    port: int

    @property
    def sockaddr(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def open_socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        return sock


class FakeTicket:
    """Keeps the contract of Ticket and counts what it is told."""

    def __init__(self, usher: "FakeUsher", port: int, wake: WakeReport | None) -> None:
        self._usher = usher
        self._wake = wake
        self.port = port
        self.closed = 0
        self.touched = 0
        self.cut: Callable[[], None] = lambda: None

    @property
    def target(self) -> TcpTarget:
        return TcpTarget(self.port)

    @property
    def pool_key(self) -> object:
        return self.port

    @property
    def hop_fields(self) -> bytes:
        return self._usher.hop_fields

    @property
    def is_hop(self) -> bool:
        return bool(self._usher.hop_fields)

    @property
    def wake(self) -> WakeReport | None:
        return self._wake

    def is_valid(self) -> bool:
        return self._usher.valid.pop(0) if self._usher.valid else True

    def touch(self) -> None:
        self.touched += 1

    def on_cut(self, cut: Callable[[], None]) -> None:
        self.cut = cut

    def close(self) -> None:
        self.closed += 1
        self._usher.closed.set()


@dataclass
class FakeUsher:
    """Warm by default. `asleep` makes it wait for `awake`; what happens is recorded."""

    port: int = 0
    asleep: bool = False
    refusal: Refusal | None = None
    hop_fields: bytes = b""
    valid: list[bool] = field(default_factory=list)
    """What the next calls of is_valid answer; True when there is none left."""
    later_ports: list[int] = field(default_factory=list)
    """Where the actor is after each `forget`."""
    wake: WakeReport | None = None

    def __post_init__(self) -> None:
        self.awake = asyncio.Event()
        self.waiting = asyncio.Event()
        self.closed = asyncio.Event()
        self.gave_up = asyncio.Event()
        self.tickets: list[FakeTicket] = []
        self.demands: list[Demand] = []
        self.forgotten: list[Demand] = []
        self.admitted = 0

    def admit(self, demand: Demand) -> Ticket | None:
        self.admitted += 1
        if self.asleep or self.refusal is not None or self.forgotten:
            return None
        return self._ticket(None)

    async def admit_waiting(self, demand: Demand) -> Ticket:
        self.demands.append(demand)
        self.waiting.set()
        if self.refusal is not None:
            raise self.refusal
        if self.asleep:
            try:
                await self.awake.wait()
            except asyncio.CancelledError:
                self.gave_up.set()
                raise
        return self._ticket(self.wake)

    def forget(self, demand: Demand, ticket: Ticket) -> None:
        self.forgotten.append(demand)
        if self.later_ports:
            self.port = self.later_ports.pop(0)

    def _ticket(self, wake: WakeReport | None) -> FakeTicket:
        ticket = FakeTicket(self, self.port, wake)
        self.tickets.append(ticket)
        return ticket

    def all_closed_once(self) -> bool:
        return all(ticket.closed == 1 for ticket in self.tickets)


@dataclass
class Running:
    relay: Relay
    usher: FakeUsher
    port: int
    log: list[bytes]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)

    async def talk(self, text: bytes) -> bytes:
        """Send on a new connection, read until it is closed."""
        reader, writer = await self.connect()
        try:
            async with asyncio.timeout(SCALE):
                writer.write(text)
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def running(
    usher: FakeUsher,
    *,
    naming: Naming | None = None,
    settings: RelaySettings | None = None,
    gatekeeper: Gatekeeper | None = None,
    listen: Listen | None = None,
    around: Usher | None = None,
) -> AsyncIterator[Running]:
    """`around`: a usher that asks `usher`, and whom the relay asks."""
    lines: list[bytes] = []
    relay = Relay(
        naming=naming or EdgeNaming(),
        usher=around or usher,
        settings=settings,
        access_log=AccessLog(lines.append),
        gatekeeper=gatekeeper,
    )
    async with asyncio.TaskGroup() as group:
        run = group.create_task(relay.run())
        (address,) = await relay.start([listen or Listen()])
        try:
            yield Running(relay, usher, int(address.rpartition(":")[2]), lines)
        finally:
            await relay.drain(0.0)
            await run
    assert usher.all_closed_once(), usher.tickets
    assert (relay.meters.inflight, relay.parking.count) == (0, 0)


@asynccontextmanager
async def actor(serve: Serve) -> AsyncIterator[int]:
    """A server whose every connection is `serve`d; yields its port."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(served, "127.0.0.1", 0, limit=2**26)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SCALE):
        return await reader.readuntil(b"\r\n\r\n")


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Status, head and body of an answer with Content-Length (or none)."""
    head = await read_head(reader)
    length = field_of(head, "content-length")
    async with asyncio.timeout(SCALE):
        body = await reader.readexactly(int(length or 0))
    return int(head[9:12]), head, body


def field_of(head: bytes, name: str) -> str | None:
    for line in head.decode("latin-1").split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == name.lower():
            return value.strip()
    return None


def error_of(answer: bytes) -> dict[str, object]:
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert isinstance(error, dict)
    return error


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each request with its own head and body, on one connection."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        body = await reader.readexactly(int(field_of(head, "content-length") or 0))
        text = head + body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text))
        writer.write(text)
        await writer.drain()


def answering(*answers: bytes) -> Serve:
    """Reads a head, sends the next of `answers`, and closes after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return serve


def recording(answer: bytes, seen: list[bytes], *, size: int = 0) -> Serve:
    """Notes each request (and `size` bytes of body), answers, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head)
        seen[-1] += await reader.readexactly(size)
        writer.write(answer)
        await writer.drain()

    return serve
