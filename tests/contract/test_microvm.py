"""The driver's contract, kept by `microvm` with QEMU, emulated where the processor runs no guests;
and what a machine of its own promises beyond it."""

import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtimes import guestcall, tap
from runtimes.base import Driver, Handle, Resources, RuntimeFailure
from runtimes.cgroups import find_tree
from runtimes.microvm import Microvm
from tests.contract.driver import SCALE, Bench, DriverContract, until

WAKING = ("python3", str(Path(__file__).with_name("waking.py")))


SAME = frozenset({"uid", "durable", "directory", "log_limit"})
"""What may differ between one who wrote an image and one who goes on from it."""


@dataclass
class WakingBench(Bench):
    """Where a test wants the plain program, it wakes from an image of it, of this session: quicker
    than its start, and what is promised of a sandbox is promised of one that was woken."""

    image: Path = field(kw_only=True)

    async def start(self, *arguments: str, **changes: Any) -> Handle:
        if arguments or set(changes) - SAME:
            return await super().start(*arguments, **changes)
        if not self.image.is_dir():
            await self._write_image()
        handle = await self.driver.restore(self.spec(**changes), self.image)
        self.begun.append(handle)
        return handle

    async def _write_image(self) -> None:
        handle = await super().start()
        await until(lambda: self.try_get(handle), within_s=self.soon_s)
        await self.driver.freeze(handle)
        await self.driver.checkpoint(handle, self.image)
        await self.driver.stop(handle, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network for each actor")
class TestMicrovm(DriverContract):
    rounds = 3
    freezes = 5
    """Of hundreds: an emulated machine takes a second to come up."""

    @pytest.fixture
    async def bench(
        self, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[Bench]:
        image = tmp_path_factory.getbasetemp() / "microvm-image"
        bench = WakingBench(root=tmp_path, make=self.make, soon_s=60.0 * SCALE, image=image)
        async with bench.working():
            yield bench

    def make(self, root: Path) -> Driver:
        return Microvm(root, tree=find_tree())

    # What it sees

    async def test_sees_no_process_of_the_host_and_not_its_kernel(self, bench: Bench) -> None:
        handle = await bench.started()
        assert len(await bench.tell(handle, "/pids")) == 1
        assert os.uname().release not in await bench.tell(handle, "/read?file=/proc/version")
        for place in ("/", "/usr", "/etc", "/dev", "/run/rouse", "/proc/sys/kernel", "/work"):
            answer = await bench.get(handle, f"/write?file={place}/mark&text=x")
            assert answer.status == 500, place

    async def test_reaches_nobody_from_inside(self, bench: Bench) -> None:
        handle = await bench.started(resources=Resources(pids=20))
        with socket.create_server(("0.0.0.0", 0)) as host:
            port = host.getsockname()[1]
            for target in (
                f"host={tap.WORKER}&port={port}",
                f"host=127.0.0.1&port={port}",
                "host=169.254.169.254&port=80",
                # What the worker calls in the guest hears nobody in the guest.
                f"host={tap.GUEST}&port={guestcall.PORT}",
            ):
                answer = await bench.get(handle, f"/connect?{target}")
                heard = answer.status == 200 and target.startswith(f"host={tap.GUEST}")
                assert answer.status == 500 or heard, target
        assert 5 < await bench.tell(handle, "/fork?children=100") < 20

    # Its memory

    async def test_memory_goes_on_in_two_machines_that_are_not_fooled(self, bench: Bench) -> None:
        handle = await bench.started(command=WAKING)
        before = await bench.tell(handle, "/")
        await bench.driver.freeze(handle)
        image = bench.root / "image"
        await bench.driver.checkpoint(handle, image)
        assert (await bench.driver.inspect(handle)).frozen
        # It could still be thawed, and then goes on itself.
        await bench.driver.thaw(handle)
        assert (await bench.tell(handle, "/"))["counted"] == before["counted"] + 1
        await bench.driver.stop(handle, 0)
        pair = [await self._restored(bench, image, epoch=number) for number in (7, 8)]
        earliest = time.time()
        told = [await bench.tell(each, "/") for each in pair]
        latest = time.time()
        assert [each["counted"] for each in told] == [before["counted"] + 1] * 2
        for name in ("drawn", "uuid", "tls"):
            assert len({before[name], *(each[name] for each in told)}) == 3, name
        assert [each["epoch"] for each in told] == [7, 8]
        assert [each["woken"] for each in told] == [before["woken"] + 1] * 2
        assert all(earliest - 0.5 < each["time"] < latest + 0.5 for each in told)
        assert all(each["monotonic"] >= before["monotonic"] for each in told)

    async def test_files_of_both_kinds_go_on_and_damage_starts_nothing(self, bench: Bench) -> None:
        spec = bench.spec()
        handle = await bench.started(uid=spec.uid, durable=spec.durable, directory=spec.directory)
        await bench.tell(handle, "/write?file=/tmp/mark&text=in-memory")
        await bench.tell(handle, "/write?file=/data/mark&text=durable")
        await bench.driver.freeze(handle)
        image = bench.root / "image"
        await bench.driver.checkpoint(handle, image)
        await bench.driver.stop(handle, 0)
        # Elsewhere: the same files in another directory, other inodes.
        there = bench.spec(command=spec.command, epoch=2)
        shutil.copytree(spec.durable["/data"], there.durable["/data"], dirs_exist_ok=True)
        again = await bench.driver.restore(there, image)
        bench.begun.append(again)
        assert await bench.tell(again, "/read?file=/tmp/mark") == "in-memory"
        assert await bench.tell(again, "/read?file=/data/mark") == "durable"
        await bench.tell(again, "/write?file=/data/mark&text=later")
        assert (there.durable["/data"] / "mark").read_text() == "later"
        (image / "state").write_bytes(os.urandom(200_000))
        with pytest.raises(RuntimeFailure):
            await bench.driver.restore(bench.spec(), image)

    async def _restored(self, bench: Bench, image: Path, **changes: Any) -> Handle:
        handle = await bench.driver.restore(bench.spec(command=WAKING, **changes), image)
        bench.begun.append(handle)
        return handle
