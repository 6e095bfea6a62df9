"""What decisions wait for: a slow hash is computed off the loop, few of them at once."""

import asyncio
import threading
from pathlib import Path

from gateway.egress import needs
from gateway.egress.gathering import Gathered
from tests.gateway.egress.documents import ask
from tests.gateway.egress.world import behind, running


async def _none(_most: int) -> Gathered:
    return Gathered(raw=b"", data=b"abc", rest=b"", is_whole=False)


async def test_hashes_are_computed_off_the_loop_two_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, behind(9, "")) as world:
        parts = world.proxy.parts
        policy = parts.policies.of("default")
        assert policy is not None
        gate, at_once, most = threading.Event(), 0, 0
        lock = threading.Lock()

        def slow() -> bool:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            gate.wait(10)
            with lock:
                at_once -= 1
            return True

        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    parts.waiting.meet(needs.Work(compute=slow), parts, policy, ask(), _none)
                )
                for _ in range(5)
            ]
            async with asyncio.timeout(10):
                while most < 2:
                    await asyncio.sleep(0.01)
            gate.set()
        assert all(task.result() is True for task in tasks) and most == 2


async def test_a_part_of_a_body_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    async with running(tmp_path, behind(9, "")) as world:
        parts = world.proxy.parts
        policy = parts.policies.of("default")
        assert policy is not None
        asked = ask()
        meet = parts.waiting.meet
        assert await meet(needs.Body(most=2), parts, policy, asked, _none) is None
        shown = await meet(needs.Body(most=2, may_be_cut=True), parts, policy, asked, _none)
        assert shown == b"ab" == asked.part and asked.body is None
