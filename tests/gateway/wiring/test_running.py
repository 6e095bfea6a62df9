"""The order in which a process runs and ends. Signals are real, and sent to this very process."""

import asyncio
import os
import signal

import pytest

from gateway.wiring.backbone import Part
from gateway.wiring.running import PartEnded, new_loop, run_until_stopped


class Process:
    """Parts that write down what happens to them, and a stop that does."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.stop = asyncio.Event()
        self.up = asyncio.Event()
        self.may_drain = asyncio.Event()
        self.may_drain.set()

    def part(self, name: str) -> Part:
        async def run() -> None:
            self.seen.append(f"{name} runs")
            try:
                await asyncio.Event().wait()
            finally:
                self.seen.append(f"{name} ends")

        return name, run

    async def come_up(self) -> None:
        self.seen.append("up")
        self.up.set()

    async def drain(self) -> None:
        self.seen.append("drain")
        await self.may_drain.wait()
        self.seen.append("drained")

    async def run(self, *parts: Part) -> None:
        await run_until_stopped(
            parts or (self.part("table"),), come_up=self.come_up, stop=self.stop, drain=self.drain
        )


async def test_what_it_stands_on_ends_only_after_the_drain() -> None:
    process = Process()
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await process.up.wait()
        process.stop.set()
    assert process.seen == ["table runs", "up", "drain", "drained", "table ends"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_in_order(number: signal.Signals) -> None:
    process = Process()
    async with asyncio.TaskGroup() as group:
        group.create_task(process.run())
        await process.up.wait()
        os.kill(os.getpid(), number)
    assert process.seen[-3:] == ["drain", "drained", "table ends"]


async def test_a_second_signal_does_not_wait_for_the_drain() -> None:
    process = Process()
    process.may_drain.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(process.run())
        await process.up.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        while not running.done():  # one wish may arrive as several signals in a row
            await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
    assert running.cancelled()
    assert process.seen[-2:] == ["drain", "table ends"]


async def test_a_child_of_ours_takes_its_own_time_however_often_it_is_told() -> None:
    """A terminal's Ctrl-C reaches the child too, beside its parent's word."""
    process = Process()
    process.may_drain.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_until_stopped(
                [process.part("table")],
                come_up=process.come_up,
                stop=process.stop,
                drain=process.drain,
                is_child=True,
            )
        )
        await process.up.wait()
        for _ in range(15):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.1)
        assert process.seen[-1] == "drain"
        process.may_drain.set()
    assert process.seen[-2:] == ["drained", "table ends"]


async def test_a_part_that_ends_by_itself_ends_the_process() -> None:
    process = Process()

    async def short() -> None:
        await process.up.wait()

    with pytest.raises(ExceptionGroup) as caught:
        await process.run(process.part("table"), ("feed", short))
    assert caught.group_contains(PartEnded, match="feed ended by itself")
    assert process.seen[-1] == "table ends" and "drain" not in process.seen


async def test_a_part_that_breaks_ends_the_process_with_its_reason() -> None:
    process = Process()

    async def broken() -> None:
        raise RuntimeError("no such part")

    with pytest.raises(ExceptionGroup) as caught:
        await process.run(process.part("table"), ("broken", broken))
    assert caught.group_contains(RuntimeError, match="no such part")


async def test_what_cannot_come_up_ends_the_process() -> None:
    process = Process()

    async def taken() -> None:
        raise OSError(98, "Address already in use")

    with pytest.raises(ExceptionGroup) as caught:
        await run_until_stopped(
            [process.part("table")], come_up=taken, stop=process.stop, drain=process.drain
        )
    assert caught.group_contains(OSError, match="in use")
    assert process.seen == ["table runs", "table ends"]


async def test_parts_that_a_drain_ends_are_not_broken() -> None:
    process = Process()
    drained = asyncio.Event()

    async def relay() -> None:
        await drained.wait()
        process.seen.append("relay ends")

    async def drain() -> None:
        drained.set()
        while "relay ends" not in process.seen:
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(
            run_until_stopped(
                [process.part("table"), ("relay", relay)],
                come_up=process.come_up,
                stop=process.stop,
                drain=drain,
            )
        )
        await process.up.wait()
        process.stop.set()
    assert process.seen[-2:] == ["relay ends", "table ends"]


async def test_a_stop_before_it_is_up_gives_up_coming_up() -> None:
    process = Process()

    async def never() -> None:
        await asyncio.Event().wait()

    process.stop.set()
    await run_until_stopped(
        [process.part("table")], come_up=never, stop=process.stop, drain=process.drain
    )
    assert process.seen[-1] in ("table ends", "drained")


def test_the_products_loop_runs_and_stops_by_a_signal_too() -> None:
    """uvloop's signal handlers are its own."""

    async def role() -> list[str]:
        process = Process()

        async def come_up() -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        await run_until_stopped(
            [process.part("table")], come_up=come_up, stop=process.stop, drain=process.drain
        )
        return process.seen

    factory = new_loop()
    assert factory is not None
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(role()) == ["table runs", "drain", "drained", "table ends"]
