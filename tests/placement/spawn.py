"""Servers as others run them: on TCP, as a replica, as a cluster of one node."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from placement.server import server_binary

START_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def spawned(
    directory: Path, *options: str, port: int = 0, pass_fds: tuple[int, ...] = ()
) -> AsyncIterator[tuple[Redis, int]]:
    """A server in `directory` that answers on `server.sock` there, and its pid."""
    path = directory / "server.sock"
    program, _ = server_binary()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path)]
    words += ["--dir", str(directory), "--save", "", "--logfile", str(directory / "log")]
    process = await asyncio.create_subprocess_exec(
        program, *words, *options, pass_fds=pass_fds, stdin=asyncio.subprocess.DEVNULL
    )
    client = Redis.from_url(f"unix://{path}")
    try:
        await until(client.ping)
        yield client, process.pid
    finally:
        await client.aclose()
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(ask: object) -> None:
    """Ask a server until it says something true, at most START_S."""
    assert callable(ask)
    async with asyncio.timeout(START_S):
        while True:
            try:
                if await ask():
                    return
            except (RedisError, OSError):
                pass
            await asyncio.sleep(0.01)


@asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[str]:
    """The URL of a cluster whose one node has every slot."""
    port = free_port()
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    async with spawned(directory, *options, port=port) as (client, _):
        ask: Any = client.execute_command  # redis-py leaves it untyped
        await ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")

        async def is_ok() -> bool:
            return bool((await ask("CLUSTER INFO"))["cluster_state"] == "ok")

        await until(is_ok)
        yield f"redis+cluster://127.0.0.1:{port}"


async def ended(pid: int) -> None:
    """Return when a process that need not be our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, gone.set)
    try:
        async with asyncio.timeout(START_S):
            await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
