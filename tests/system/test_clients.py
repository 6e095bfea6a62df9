"""Clients and servers that nobody here wrote, through edge and door: methods, big and chunked
bodies, SSE, WebSocket, HTTP/1.0, kept connections. The ushers are the tests' own."""

import asyncio
import hashlib
import io
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import requests
from aiohttp import web
from websockets.asyncio.client import connect

from gateway.ingress.hop import DoorNaming, hop_fields
from placement.model import ActorId
from tests.gateway.ingress.support import FakeUsher, running

HERE = Path(__file__).parent / "clients"
DATA = os.urandom(3_000_000)
SUM = hashlib.sha256(DATA).hexdigest()
EVENTS = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
PATIENCE_S = 100.0

_CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
TOOLS = Path(os.environ.get("ROUSE_TOOLS") or f"{_CACHE}/rouse/tools")


def _need(program: str, *more: Path) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    if found is None or not all(path.exists() for path in more):
        reason = f"{program} (or what it needs) is missing: `make tools` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _node() -> tuple[str, dict[str, str]]:
    modules = TOOLS / "node_modules"
    return _need("node", modules / "ws"), {**os.environ, "NODE_PATH": str(modules)}


# The servers -----------------------------------------------------------------------------------


@asynccontextmanager
async def node() -> AsyncIterator[int]:
    program, environ = _node()
    process = await asyncio.create_subprocess_exec(
        program, str(HERE / "server.js"), env=environ, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield int(await process.stdout.readline())
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _echo(request: web.Request) -> web.Response:
    digest, size = hashlib.sha256(), 0
    async for data in request.content.iter_any():
        digest.update(data)
        size += len(data)
    told = {"method": request.method, "size": size, "sha256": digest.hexdigest()}
    return web.json_response(told)


async def _sse(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for count in range(3):
        await response.write(b"data: %d\n\n" % count)
    await response.write_eof()
    return response


async def _big(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 8_000_000)


async def _close(request: web.Request) -> web.Response:
    response = web.Response(text="bye")
    response.force_close()
    return response


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=2**24)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[int]:
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/sse", _sse)
    app.router.add_get("/big", _big)
    app.router.add_get("/close", _close)
    app.router.add_get("/ws", _socket)
    app.router.add_route("*", "/echo", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


SERVERS = {"node": node, "aiohttp": aiohttp_server}


@asynccontextmanager
async def through(server: str) -> AsyncIterator[str]:
    """The base URL of that server behind a door behind an edge."""
    fields = hop_fields(ActorId("demo", "a1"), uid="u", epoch=1, key="k")
    async with (
        SERVERS[server]() as port,
        running(FakeUsher(port=port), naming=DoorNaming(key="k")) as door,
        running(FakeUsher(port=door.port, hop_fields=fields)) as edge,
    ):
        yield f"http://127.0.0.1:{edge.port}/actors/demo/a1"


# The clients -----------------------------------------------------------------------------------


async def _run(*arguments: str, environ: dict[str, str] | None = None) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=HERE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode(errors="replace")[-2000:]
    return out


async def by_node(base: str) -> None:
    program, environ = _node()
    await _run(program, "client.js", base, environ=environ)


async def by_go(base: str) -> None:
    environ = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    await _run(_need("go"), "run", "client.go", base, environ=environ)


async def by_curl(base: str) -> None:
    curl = [_need("curl"), "-sS", "--fail", "--max-time", "60", "--noproxy", "*"]
    body = HERE / "client.go"
    digest = hashlib.sha256(body.read_bytes()).hexdigest()
    post = ["--data-binary", f"@{body}", f"{base}/echo"]
    chunked = ["-H", "Transfer-Encoding: chunked"]
    for extra in ([], chunked, ["-H", "Expect: 100-continue"], ["--http1.0"], ["-X", "PUT"]):
        told = json.loads(await _run(*curl, *extra, *post))
        assert told["sha256"] == digest
    assert await _run(*curl, "-N", f"{base}/sse") == EVENTS
    assert await _run(*curl, "--http1.0", f"{base}/sse") == EVENTS
    assert len(await _run(*curl, f"{base}/big")) == 8_000_000
    assert b"200 OK" in await _run(*curl, "-I", f"{base}/echo")
    many = await _run(*curl, *[f"{base}/echo?{number}" for number in range(30)])
    assert many.count(b'"method"') == 30
    assert await _run(*curl, f"{base}/close", f"{base}/close") == b"byebye"


async def by_requests(base: str) -> None:
    def talk() -> None:
        with requests.Session() as session:
            session.trust_env = False
            for method in ("GET", "DELETE", "OPTIONS", "PATCH"):
                assert session.request(method, f"{base}/echo").json()["method"] == method
            assert session.head(f"{base}/echo").status_code == 200
            pieces = (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000))
            assert session.post(f"{base}/echo", data=DATA).json()["sha256"] == SUM
            assert session.post(f"{base}/echo", data=pieces).json()["sha256"] == SUM
            assert session.get(f"{base}/sse").content == EVENTS
            assert len(session.get(f"{base}/big").content) == 8_000_000
            assert [session.get(f"{base}/close").text for _ in range(3)] == ["bye"] * 3

    await asyncio.to_thread(talk)


async def by_aiohttp(base: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(DATA), 100_000):
            yield DATA[at : at + 100_000]

    async with aiohttp.ClientSession() as session:

        async def echo(method: str, data: object = None) -> dict[str, object]:
            async with session.request(method, f"{base}/echo", data=data) as answer:
                assert answer.status == 200
                told = await answer.json()
                assert isinstance(told, dict) and told["method"] == method
                return told

        for method in ("GET", "DELETE", "PUT", "OPTIONS"):
            await echo(method)
        assert (await echo("POST", io.BytesIO(DATA)))["sha256"] == SUM
        assert (await echo("POST", pieces()))["sha256"] == SUM
        async with session.get(f"{base}/sse") as answer:
            assert await answer.read() == EVENTS
        async with session.get(f"{base}/big") as answer:
            assert len(await answer.read()) == 8_000_000
        async with session.ws_connect(f"{base}/ws") as socket:
            await socket.send_bytes(b"hello")
            assert (await socket.receive()).data == b"hello"
            await socket.ping()
        await asyncio.gather(*(echo("POST", DATA[:1000]) for _ in range(50)))


async def by_websockets(base: str) -> None:
    url = base.replace("http://", "ws://") + "/ws"
    async with connect(url, proxy=None, max_size=None) as socket:
        for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
            await socket.send(DATA[:size])
            assert await socket.recv(decode=False) == DATA[:size]
        await (await socket.ping())
        await socket.close(1000, "done")
        assert socket.close_code == 1000


CLIENTS: dict[str, Callable[[str], Awaitable[None]]] = {
    "curl": by_curl,
    "requests": by_requests,
    "aiohttp": by_aiohttp,
    "websockets": by_websockets,
    "node": by_node,
    "go": by_go,
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_real_client_talks_to_a_real_server(client: str, server: str) -> None:
    async with through(server) as base:
        await CLIENTS[client](base)
