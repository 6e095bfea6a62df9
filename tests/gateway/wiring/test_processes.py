"""Further edge processes on one port: real children, seen through their metrics and their pids."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from gateway.telemetry import Telemetry
from gateway.wiring.backbone import Keys, backbone
from gateway.wiring.gateway import EdgePart
from gateway.wiring.processes import EdgeProcesses
from placement.server import PrivateServer
from tests.gateway.test_telemetry import read
from tests.gateway.wiring.starting import running_parts, settings_of

NOBODY = {"Host": "nobody.demo.actors.localhost", "Connection": "close"}


def told(others: EdgeProcesses) -> dict[str, float]:
    telemetry = Telemetry()
    telemetry.add(others.read)
    return read(telemetry.render().decode()).get("rouse_requests_total", {})


def pids(others: EdgeProcesses) -> list[int]:
    found = [child.pid for child in others._children.values() if child.is_alive()]
    return [pid for pid in found if pid is not None]


@pytest.mark.usefixtures("redis")
async def test_children_share_the_port_are_replaced_and_go_with_the_first(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of(
        "gateway", tmp_path, redis_server.url, edge__processes=2, drain_grace_s=5
    )
    async with backbone(settings, redis_server.url, Keys.of(None)) as spine:
        edge = EdgePart(settings, spine)
        others = EdgeProcesses(settings, redis_server.url)
        assert others.count == 1 and told(others) == {}
        parts = [*spine.parts(), *edge.parts(), ("others", others.run)]
        async with running_parts(parts), aiohttp.ClientSession() as client:
            at = await edge.listen(shared=True)
            others.begin(at)

            async def until_the_child_answers() -> None:
                """The kernel deals out the connections: some of them are the child's."""
                before = told(others)
                while told(others) == before or not told(others):
                    async with client.get(f"http://{at}/", headers=NOBODY) as answer:
                        assert answer.status == 404
                    await asyncio.sleep(0.02)

            await until_the_child_answers()
            assert list(told(others)) == ["process=1,relay=edge,source=rouse,status=404"]
            (first,) = pids(others)
            os.kill(first, signal.SIGKILL)
            while (now := pids(others)) in ([], [first]):
                await asyncio.sleep(0.05)
            await until_the_child_answers()
            others.end()
            await others.gone(5)
            assert pids(others) == []
            (child,) = others._children.values()
            assert child.pid in now and child.exitcode == 0


@pytest.mark.usefixtures("redis")
async def test_one_process_has_no_children(redis_server: PrivateServer, tmp_path: Path) -> None:
    settings = settings_of("gateway", tmp_path, redis_server.url)
    others = EdgeProcesses(settings, redis_server.url)
    async with backbone(settings, redis_server.url, Keys.of(None)) as spine:
        edge = EdgePart(settings, spine)
        async with running_parts([*edge.parts(), ("others", others.run)]):
            others.begin(await edge.listen())
            await asyncio.sleep(0)
            assert others.count == 0 and pids(others) == [] and list(others.read()) == []
            others.end()
            await others.gone(5)
