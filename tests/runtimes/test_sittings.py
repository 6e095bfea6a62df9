"""Who sits where: what another worker makes of what the first one wrote down."""

import asyncio

import pytest

from runtimes.base import RuntimeFailure
from tests.contract.driver import Bench


async def test_a_sandbox_whose_pause_nobody_ended_is_as_good_as_gone(gvisor: Bench) -> None:
    # A worker that died under that call: whether its program stands, nobody knows.
    handle = await gvisor.started()
    records = gvisor.root / "driver" / f"{handle.slug}.json"
    line = records.read_bytes().splitlines()[-1]
    with records.open("ab") as file:
        file.write(line.replace(b'"is_turning":false', b'"is_turning":true') + b"\n")
    other = gvisor.make(gvisor.root / "driver")
    assert not (await other.inspect(handle)).alive
    with pytest.raises(RuntimeFailure, match="gone"):
        await other.freeze(handle)
    await other.stop(handle, 0)
    assert gvisor.leftovers() == set()


async def test_a_thaw_waits_for_the_image_that_is_being_written(gvisor: Bench) -> None:
    handle = await gvisor.started()
    await gvisor.driver.freeze(handle)
    image = gvisor.root / "image"
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(gvisor.driver.checkpoint(handle, image), name="image")
        while not image.exists():
            await asyncio.sleep(0)
        await gvisor.driver.thaw(handle)
        assert writing.done()
    assert (await gvisor.get(handle)).body == "hello"


async def test_a_sandbox_that_is_there_is_not_started_twice(gvisor: Bench) -> None:
    spec = gvisor.spec(command=("sleep", "60"))
    gvisor.begun.append(await gvisor.driver.start(spec))
    with pytest.raises(RuntimeFailure, match="already"):
        await gvisor.driver.start(spec)
    assert (await gvisor.driver.inspect(gvisor.begun[0])).alive


async def test_a_cancelled_freeze_leaves_it_to_be_thawed(gvisor: Bench) -> None:
    # The call is out when the cancel comes: resumed before it was paused, the sandbox would end.
    handle = await gvisor.started()
    for turns in (0, 1, 2, 3, 5, 8):
        async with asyncio.TaskGroup() as group:
            freezing = group.create_task(gvisor.driver.freeze(handle), name="freeze")
            for _ in range(turns):
                await asyncio.sleep(0)
            freezing.cancel()
            await asyncio.wait([freezing])
        await gvisor.driver.thaw(handle)
        assert (await gvisor.get(handle)).body == "hello"
