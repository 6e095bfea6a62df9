"""What is shared; that it works together is test_proxy's."""

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.egress.parts import Budgets
from tests.gateway.egress.world import running


def test_no_budget_is_for_ever() -> None:
    made = Budgets()
    assert 0 < made.head_s < made.idle_s < made.stream_idle_s


async def test_what_nobody_foresaw_ends_one_call_and_not_the_proxy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("a mistake of ours")

    told = asyncio.Event()
    with caplog.at_level(logging.ERROR):
        async with running(tmp_path, "binds: []") as world:
            world.proxy.parts.spawn(broken(), "a call", told.set)
            async with asyncio.timeout(10):
                await told.wait()
            talk = await world.open()
            talk.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await talk.whole())[0] == 407
    assert "egress broke" in caplog.text
