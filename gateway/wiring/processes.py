"""Further edge processes on the port of the first one (SO_REUSEPORT), each with its own graph.

They are children of the first: started anew when they die, drained with it, and gone when it is.
Their metrics are asked for over a socket each and told with a `process` label.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from aiohttp import web
from prometheus_client.core import Metric

from gateway.control.api import make_probe_app
from gateway.control.guard import Guard
from gateway.control.health import Health
from gateway.settings import Settings
from gateway.telemetry import Telemetry, labelled
from gateway.wiring.backbone import Keys, backbone
from gateway.wiring.gateway import EdgePart
from gateway.wiring.listening import serve_app, socket_address
from gateway.wiring.logging import set_up
from gateway.wiring.running import new_loop, run_until_stopped
from lifecycle.trust import Address

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)

_LOOK_S = 0.25
_ASK_S = 1.0


class EdgeProcesses:
    def __init__(self, settings: Settings, redis_url: str) -> None:
        self._settings = settings
        self._url = redis_url
        self.count = settings.edge.processes - 1
        self._children: dict[int, SpawnProcess] = {}
        self._texts: dict[int, str] = {}
        self._begun: asyncio.Future[Settings] = asyncio.get_running_loop().create_future()
        self._is_ending = False

    def begin(self, at: Address) -> None:
        """The first process listens at `at`: the others may."""
        edge = msgspec.structs.replace(self._settings.edge, listen=str(at))
        self._begun.set_result(msgspec.structs.replace(self._settings, edge=edge))

    async def run(self) -> None:
        """Keep `count` of them running until cancelled."""
        settings = await self._begun
        sockets = {n: self._socket(n) for n in range(1, self.count + 1)}
        try:
            while True:
                for number, socket in sockets.items():
                    self._keep(number, settings, socket)
                    await self._ask(number, socket)
                await asyncio.sleep(_LOOK_S if sockets else 3600)
        finally:
            for child in self._children.values():
                child.kill()

    def _socket(self, number: int) -> Address:
        return socket_address(self._settings.data_dir / "run", f"edge-{number}.sock")

    def _keep(self, number: int, settings: Settings, socket: Address) -> None:
        child = self._children.get(number)
        if self._is_ending or (child is not None and child.is_alive()):
            return
        if child is not None:
            log.error("edge process died", extra={"number": number, "status": child.exitcode})
        context = multiprocessing.get_context("spawn")
        child = context.Process(
            target=_edge_process,
            args=(number, settings, self._url, socket.path, os.getpid()),
            name=f"rouse edge {number}",
        )
        child.start()
        self._children[number] = child

    async def _ask(self, number: int, socket: Address) -> None:
        connector = aiohttp.UnixConnector(socket.path)
        timeout = aiohttp.ClientTimeout(total=_ASK_S)
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://edge/metrics") as answer,
            ):
                self._texts[number] = await answer.text()

    def read(self) -> Iterator[Metric]:
        """As of the last look, at most a moment ago."""
        for number, text in self._texts.items():
            yield from labelled(text, str(number))

    def end(self) -> None:
        """Let them drain."""
        self._is_ending = True
        for child in self._children.values():
            child.terminate()

    async def gone(self, grace_s: float) -> None:
        deadline = asyncio.get_running_loop().time() + grace_s + _ASK_S
        while any(c.is_alive() for c in self._children.values()):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_LOOK_S / 5)


def _edge_process(
    number: int, settings: Settings, redis_url: str, socket: str, parent: int
) -> None:
    set_up(settings.log)
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        runner.run(_edge(number, settings, redis_url, socket, parent))


async def _edge(number: int, settings: Settings, url: str, socket: str, parent: int) -> None:
    stop = asyncio.Event()
    async with backbone(settings, url, Keys.of(settings.shared_key())) as spine:
        edge = EdgePart(settings, spine, log_name=f"access-{number}.log")
        telemetry = Telemetry()
        telemetry.add(edge.read)

        async def come_up() -> None:
            await edge.listen(shared=True)
            async with _telling(telemetry, Address(path=socket)):
                while os.getppid() == parent:  # noqa: ASYNC110 # no event tells of a parent's death
                    await asyncio.sleep(_LOOK_S)
            stop.set()  # the first process is gone: nobody would end this one

        async def drain() -> None:
            await edge.drain(settings.drain_grace_s)

        await run_until_stopped(
            [*spine.parts(), *edge.parts()], come_up=come_up, stop=stop, drain=drain, is_child=True
        )


@contextlib.asynccontextmanager
async def _telling(telemetry: Telemetry, at: Address) -> AsyncIterator[None]:
    app = make_probe_app(guard=Guard(address=at), health=Health(), metrics=telemetry.render)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    Path(at.path).unlink(missing_ok=True)  # noqa: ASYNC240 # left by a child that was killed
    try:
        await serve_app(runner, at)
        yield
    finally:
        await runner.cleanup()
