"""The image that starts go on from: made once, by one of those who want it."""

import asyncio

from runtimes.base import Resources
from runtimes.microvm import Microvm
from tests.contract.driver import Bench

SMALL = Resources(memory_bytes=66 << 20)
"""A size that no other test has."""


async def test_starts_at_once_boot_one_machine_between_them(microvm: Bench) -> None:
    driver = microvm.driver
    assert isinstance(driver, Microvm)
    async with asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(
                microvm.start(command=("sleep", "60"), resources=SMALL), name=f"start {number}"
            )
    # Both run, each in a seat of its own; that in which the image was made is gone.
    assert len(driver.seats.names()) == 2 and driver.booted.names == frozenset()


async def test_another_kernel_or_monitor_is_another_kind(microvm: Bench) -> None:
    driver = microvm.driver
    assert isinstance(driver, Microvm) and driver.booted.is_tried()
    terms = driver.image_terms(microvm.spec())
    assert terms["kernel"] == (driver.booted.kind,)
    assert terms["machine"] != driver.image_terms(microvm.spec(resources=SMALL))["machine"]
