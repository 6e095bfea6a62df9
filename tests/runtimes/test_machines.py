"""One machine over its life, beyond the contract: what is written down, and what then holds."""

import os
import signal

import pytest

from runtimes import guestcall
from runtimes.base import RuntimeFailure
from runtimes.microvm import Microvm
from tests.contract.driver import Bench

SLEEPS = ("sleep", "60")


async def test_a_guest_that_does_not_come_to_rest_is_frozen_and_gives_no_image(
    microvm: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await microvm.start(command=SLEEPS)

    async def silent(*words: object, **more: object) -> None:
        raise RuntimeFailure("the guest does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(guestcall, "call", silent)
        await microvm.driver.freeze(handle)
    assert (await microvm.driver.inspect(handle)).frozen
    with pytest.raises(RuntimeFailure, match="come to rest"):
        await microvm.driver.checkpoint(handle, microvm.root / "image")
    assert not (microvm.root / "image").exists()
    await microvm.driver.thaw(handle)
    assert not (await microvm.driver.inspect(handle)).frozen


async def test_without_its_attendant_a_machine_has_ended(microvm: Bench) -> None:
    driver = microvm.driver
    assert isinstance(driver, Microvm)
    handle = await microvm.start(command=SLEEPS)
    _, (attendant, _) = driver.machines.get(handle).record.roots
    os.kill(attendant, signal.SIGKILL)
    await driver.wait(handle)
    assert not (await driver.inspect(handle)).alive
