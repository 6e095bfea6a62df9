"""Where our own servers listen: sockets with short private paths, ports that may be taken."""

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateway.wiring.listening import listen_or_else, listen_relay, serve_app, socket_address
from lifecycle.trust import Address
from tests.gateway.ingress.support import FakeUsher, running


@asynccontextmanager
async def hello() -> AsyncIterator[web.AppRunner]:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    yield runner
    await runner.cleanup()


async def heard(address: Address) -> str:
    connector = aiohttp.UnixConnector(address.path) if address.is_unix else None
    host = "x" if address.is_unix else str(address)
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(f"http://{host}/") as answer:
            return await answer.text()


def taken_port() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def test_a_socket_stands_in_a_private_directory(tmp_path: Path) -> None:
    address = socket_address(tmp_path / "run", "door.sock")
    assert address.path == str(tmp_path / "run" / "door.sock")
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_is_exchanged_for_a_private_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    address = socket_address(deep, "door.sock")
    assert len(os.fsencode(address.path)) <= 100 and address.path.endswith("/door.sock")
    directory = Path(address.path).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(address.path)
    os.unlink(address.path)
    directory.rmdir()


async def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    left = socket_address(tmp_path, "rpc.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(left.path)
    async with hello() as runner:
        assert await heard(await serve_app(runner, socket_address(tmp_path, "rpc.sock"))) == "hello"


async def test_only_its_user_may_connect_to_a_socket(tmp_path: Path) -> None:
    async with hello() as runner:
        address = await serve_app(runner, socket_address(tmp_path, "admin.sock"))
        assert stat.S_IMODE(os.stat(address.path).st_mode) == 0o600


async def test_the_port_that_the_kernel_chose_is_told(tmp_path: Path) -> None:
    async with hello() as runner:
        await serve_app(runner, socket_address(tmp_path, "x.sock"))
        address = await serve_app(runner, Address(host="127.0.0.1", port=0))
        assert address.port > 0 and await heard(address) == "hello"


async def test_a_taken_default_port_is_exchanged_and_a_chosen_one_is_not() -> None:
    with taken_port() as taken:
        wanted = Address(host="127.0.0.1", port=taken.getsockname()[1])
        async with hello() as runner:
            moved = await listen_or_else(
                lambda address: serve_app(runner, address), wanted, may_move=True
            )
            assert moved.port not in (0, wanted.port) and await heard(moved) == "hello"
            with pytest.raises(OSError) as caught:
                await listen_or_else(
                    lambda address: serve_app(runner, address), wanted, may_move=False
                )
            assert caught.value.errno == errno.EADDRINUSE


async def test_only_a_taken_port_is_a_reason_to_move() -> None:
    tried: list[Address] = []

    async def listen(address: Address) -> Address:
        tried.append(address)
        raise OSError(errno.EACCES, "not allowed")

    for wanted in (Address(host="127.0.0.1", port=80), Address(path="/run/x.sock")):
        with pytest.raises(OSError, match="not allowed"):
            await listen_or_else(listen, wanted, may_move=True)
    assert len(tried) == 2


async def test_a_relay_listens_on_a_socket_and_on_a_shared_port(tmp_path: Path) -> None:
    async with running(FakeUsher()) as one, running(FakeUsher()) as two:
        at = await listen_relay(one.relay, socket_address(tmp_path, "door.sock"))
        assert at.is_unix
        first = await listen_relay(one.relay, Address(host="127.0.0.1"), shared=True)
        assert await listen_relay(two.relay, first, shared=True) == first
        with pytest.raises(OSError, match="in use"):
            await listen_relay(two.relay, first)
