"""A proxy at work in this process, an actor or two, and servers outside that note what they got."""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from gateway.egress.ask import Actor
from gateway.egress.audit import Audit, Line
from gateway.egress.certs import make_authority
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.metering.budgets import Ledger
from gateway.egress.metering.meters import Metering
from gateway.egress.parts import Budgets, Parts
from gateway.egress.policies import Policies
from gateway.egress.proxy import Proxy
from gateway.egress.resolving import Lookup, Names, system_lookup
from tests.gateway.egress.documents import ACTOR


@dataclass
class FakeCaller:
    actor: Actor = ACTOR
    key: str = "rouse-u1-3"
    here: bool = True
    calls: int = 0
    most_calls: int = 0
    touched: int = 0

    def is_here(self) -> bool:
        return self.here

    def begin_call(self) -> None:
        self.calls += 1
        self.most_calls = max(self.most_calls, self.calls)

    def end_call(self) -> None:
        self.calls -= 1

    def touch(self) -> None:
        self.touched += 1


@dataclass
class FakeCallers:
    tokens: dict[str, FakeCaller] = field(default_factory=dict)

    def by_token(self, token: str) -> FakeCaller | None:
        found = self.tokens.get(token)
        return found if found is not None and found.here else None


@dataclass
class World:
    proxy: Proxy
    address: tuple[str, int]
    callers: FakeCallers
    lines: list[Line]
    ours: Path
    """The CA of the proxy."""
    document: Path
    talks: "list[Talk]" = field(default_factory=list)

    @property
    def caller(self) -> FakeCaller:
        return self.callers.tokens["t1"]

    def url(self, token: str = "t1") -> str:
        return f"http://actor:{token}@{self.address[0]}:{self.address[1]}"

    async def open(self) -> "Talk":
        talk = Talk(*await asyncio.open_connection(*self.address))
        self.talks.append(talk)
        return talk

    async def connect(self, authority: str, token: str | None = "t1") -> "Talk":
        talk = await self.open()
        talk.say(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{auth(token)}\r\n")
        talk.answer = await talk.head()
        return talk

    def client_tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ours))


def auth(token: str | None) -> str:
    if token is None:
        return ""
    pair = base64.b64encode(f"actor:{token}".encode()).decode()
    return f"Proxy-Authorization: Basic {pair}\r\n"


class Talk:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.answer = b""

    def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode("latin-1") if isinstance(text, str) else text)

    async def head(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def whole(self) -> tuple[int, bytes, bytes]:
        """(status, head, body) of an answer with a length."""
        head = await self.head()
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        async with asyncio.timeout(10):
            body = await self.reader.readexactly(length)
        return int(head.split(b" ")[1]), head, body

    async def rest(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def tls(self, context: ssl.SSLContext, name: str | None) -> None:
        async with asyncio.timeout(10):
            await self.writer.start_tls(context, server_hostname=name)

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path,
    document: str,
    *,
    environ: Mapping[str, str] | None = None,
    lookup: Lookup = system_lookup,
    budgets: Budgets | None = None,
    ledger: Ledger | None = None,
) -> AsyncIterator[World]:
    ours = (tmp_path / "ca" / "ca.crt", tmp_path / "ca" / "ca.key")
    make_authority(*ours)
    path = tmp_path / "egress.yaml"
    path.write_text(document)
    secrets = Secrets(environ or {}, fetch)
    policies = Policies({"default": path}, secrets, environ=environ or {}, ours=ours)
    policies.load()
    lines: list[Line] = []
    callers = FakeCallers(
        {
            "t1": FakeCaller(),
            "t2": FakeCaller(actor=Actor(namespace="demo", name="c2"), key="rouse-u2-1"),
        }
    )
    parts = Parts(
        callers=callers,
        policies=policies,
        secrets=secrets,
        names=Names(lookup),
        audit=Audit(on_line=lines.append),
        metering=Metering(ledger),
        budgets=budgets or Budgets(),
    )
    proxy = Proxy(parts)
    sock = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(proxy.run(), name="proxy")
        await proxy.listen(sock)
        try:
            world = World(proxy, sock.getsockname(), callers, lines, ours[0], path)
            yield world
        finally:
            for talk in world.talks:
                talk.writer.transport.abort()
            task.cancel()
    assert not any(each.calls for each in callers.tokens.values()), "a call is held for ever"


Handler = Callable[[bytes, bytes], Awaitable[bytes] | bytes]
"""(head, body) of a request -> the whole answer."""


@dataclass
class Origin:
    """A server outside, HTTP/1.1 by hand: it shows the bytes that it really got."""

    port: int
    ca: Path
    seen: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    def header(self, name: str, number: int = -1) -> str | None:
        for line in self.seen[number].decode("latin-1").split("\r\n")[1:]:
            key, _colon, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None


def ok(body: bytes = b"ok", more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


@contextlib.asynccontextmanager
async def origin(
    tmp_path: Path,
    handler: Handler = lambda _head, _body: ok(),
    *,
    names: tuple[str, ...] = ("api.test", "127.0.0.1", "*.wild.test"),
    tls: bool = True,
    curve: str | None = None,
    clients: trustme.CA | None = None,
) -> AsyncIterator[Origin]:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients.configure_trust(context)
    if curve is not None:
        context.set_ecdh_curve(curve)
    ca.issue_cert(*names).configure_cert(context)
    path = tmp_path / "origin-ca.pem"
    ca.cert_pem.write_to_path(str(path))
    made = Origin(0, path)
    open_ones: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        open_ones.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _body(reader, head)
                made.seen.append(head)
                made.bodies.append(body)
                answer = handler(head, body)
                writer.write(answer if isinstance(answer, bytes) else await answer)
                await writer.drain()
        open_ones.discard(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls else None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for each in list(open_ones):
            each.transport.abort()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body
    for line in lowered.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return await reader.readexactly(int(line.partition(b":")[2]))
    return b""


def intercept(
    port: int, ca: Path, *, policies: str = "", more: str = "", host: str = "api.test"
) -> str:
    """Port 443 opened; `host` is the origin at this port, verified by its own CA."""
    return f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {{mode: dynamicCa}}
    routes:
    - name: api
      hostnames: [{host}]
      policies: {{{policies}}}
      backends:
      - host: "127.0.0.1:{port}"
        policies: {{backendTLS: {{root: "{ca}", hostname: api.test}}}}
{more}
"""


PLAIN = """
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- mode: internal
  listeners:
  - name: plain
    routes:
    - hostnames: [localhost, "*.rebind.test"]
      backends: [{{dynamic: {{}}}}]
- port: 8080
  listeners:
  - routes:
    - matches: [{{path: {{pathPrefix: /api}}}}]
      policies: {{urlRewrite: {{path: {{prefix: /}}}}, backendAuth: {{key: sekret}}}}
      backends: [{{host: "127.0.0.1:{port}"}}]
rouse: {{privateAddresses: [{private}]}}
"""


async def get(
    world: World, target: str, host: str, *, token: str | None = "t1"
) -> tuple[int, bytes]:
    talk = await world.open()
    talk.say(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{auth(token)}\r\n")
    status, _head, body = await talk.whole()
    talk.close()
    return status, body


def behind(port: int, policies: str, *, backend: str = "", more: str = "") -> str:
    """One route at base URLs to the plain origin at this port."""
    return f"""
binds:
- port: 8080
  listeners:
  - routes:
    - policies: {{{policies}}}
      backends:
      - host: "127.0.0.1:{port}"
        policies: {{{backend}}}
{more}
"""


async def send(
    world: World, method: str, target: str, *fields: str, body: bytes = b""
) -> tuple[int, bytes, bytes]:
    """(status, head, body) of a request to a base URL."""
    talk = await world.open()
    lines = [f"{method} {target} HTTP/1.1", "Host: egress.internal", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    talk.say("\r\n".join(lines) + f"\r\n{auth('t1')}\r\n")
    talk.say(body)
    answer = await talk.whole()
    talk.close()
    return answer
