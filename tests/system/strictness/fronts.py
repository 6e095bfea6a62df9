"""The three proxies, each with one entrance per backend and short patience."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import FakeUsher, running
from tests.system.strictness.backend import Backend

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
LIMIT = 2**20
PATIENCE_S = 0.3
"""How long each proxy waits for more of a request: what they do with none is part of the test."""


def find(program: str) -> str | None:
    """Daemons live where only root's PATH looks."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def rouse(backends: Sequence[Backend], _directory: Path) -> AsyncIterator[list[Connect]]:
    settings = RelaySettings(
        head_s=PATIENCE_S,
        idle_s=PATIENCE_S,
        body_idle_s=PATIENCE_S,
        linger_s=PATIENCE_S,
        stream_idle_s=2.0,
        connections=64,
    )
    async with AsyncExitStack() as stack:
        relays = [
            await stack.enter_async_context(running(FakeUsher(port=each.port), settings=settings))
            for each in backends
        ]
        yield [relay.connect for relay in relays]


@asynccontextmanager
async def nginx(backends: Sequence[Backend], directory: Path) -> AsyncIterator[list[Connect]]:
    servers = "".join(
        f"upstream b{number} {{ server 127.0.0.1:{each.port}; keepalive 4; }}\n"
        f"server {{ listen unix:{directory}/n{number}.sock;\n"
        f"  location / {{ proxy_pass http://b{number}; }} }}\n"
        for number, each in enumerate(backends)
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"""daemon off; master_process off; pid {directory}/nginx.pid;
        error_log {directory}/nginx.log;
        events {{ worker_connections 512; }}
        http {{
        access_log off;
        client_body_temp_path {directory}/nb; proxy_temp_path {directory}/np;
        fastcgi_temp_path {directory}/nf; uwsgi_temp_path {directory}/nu;
        scgi_temp_path {directory}/ns;
        client_header_timeout 300ms; client_body_timeout 300ms; keepalive_timeout 300ms;
        lingering_close off; large_client_header_buffers 8 64k; proxy_buffer_size 128k;
        proxy_buffers 8 128k; proxy_busy_buffers_size 256k;
        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
        proxy_request_buffering off; proxy_next_upstream off; proxy_read_timeout 2s;
        {servers} }}
        """
    )
    program = find("nginx")
    assert program is not None
    arguments = (program, "-p", str(directory), "-c", str(config), "-e", f"{directory}/nginx.log")
    async with _started(*arguments):
        yield [await _entrance(directory / f"n{number}.sock") for number in range(len(backends))]


@asynccontextmanager
async def haproxy(backends: Sequence[Backend], directory: Path) -> AsyncIterator[list[Connect]]:
    proxies = "".join(
        f"frontend f{number}\n  bind unix@{directory}/h{number}.sock\n"
        f"  default_backend b{number}\n"
        f"backend b{number}\n  http-reuse always\n  server s 127.0.0.1:{each.port}\n"
        for number, each in enumerate(backends)
    )
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""global
  maxconn 512
  tune.bufsize 131072
  tune.http.maxhdr 256
defaults
  mode http
  retries 0
  timeout client 300ms
  timeout http-request 300ms
  timeout http-keep-alive 300ms
  timeout connect 2s
  timeout server 2s
{proxies}"""
    )
    program = find("haproxy")
    assert program is not None
    async with _started(program, "-q", "-db", "-f", str(config)):
        yield [await _entrance(directory / f"h{number}.sock") for number in range(len(backends))]


FRONTS = {"rouse": rouse, "nginx": nginx, "haproxy": haproxy}


@asynccontextmanager
async def _started(*arguments: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*arguments)
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _entrance(path: Path) -> Connect:
    """Once somebody listens there."""

    async def connect() -> Streams:
        return await asyncio.open_unix_connection(str(path), limit=LIMIT)

    async with asyncio.timeout(10.0):
        while True:
            try:
                _reader, writer = await connect()
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return connect
