"""Our calls against the documented API, by a server that takes no other and in no other order.

Firecracker itself was not run: it needs KVM, which CI does not have.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runtimes import procfs
from runtimes.base import RuntimeFailure
from runtimes.firecracker import Firecracker
from runtimes.kernel import Kernel
from runtimes.procfs import Pid
from runtimes.spawn import in_thread
from runtimes.tap import Tap
from runtimes.vmm import Guest, Room

FIELDS: dict[str, dict[str, type]] = {
    "PUT /machine-config": {"vcpu_count": int, "mem_size_mib": int},
    "PUT /boot-source": {"kernel_image_path": str, "initrd_path": str, "boot_args": str},
    "PUT /network-interfaces/eth0": {"iface_id": str, "host_dev_name": str, "guest_mac": str},
    "PUT /entropy": {},
    "PUT /actions": {"action_type": str},
    "PATCH /vm": {"state": str},
    "PUT /snapshot/create": {"snapshot_type": str, "snapshot_path": str, "mem_file_path": str},
    "PUT /snapshot/load": {"snapshot_path": str, "mem_backend": dict, "resume_vm": bool},
}
"""Of the calls we make: every field we send, and its kind (firecracker.yaml)."""
CONFIGURES = {
    "PUT /machine-config",
    "PUT /boot-source",
    "PUT /network-interfaces/eth0",
    "PUT /entropy",
}


class Api:
    """Answers as the documents say: each call in the states that allow it, and no unknown field."""

    def __init__(self) -> None:
        self.state = "Not started"
        self.configured: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        what = f"{request.method} {request.path}"
        self.asked.append(what)
        if request.content_type != "application/json":
            return self._no("not JSON")
        words = json.loads(await request.text())
        wanted = FIELDS.get(what)
        if wanted is None or {name: type(value) for name, value in words.items()} != wanted:
            return self._no(f"no such call, or another body: {what} {words}")
        return self._no(why) if (why := self._carry_out(what, words)) else web.Response(status=204)

    def _carry_out(self, what: str, words: dict[str, Any]) -> str:
        if what in CONFIGURES:
            self.configured[what] = words
            return "" if self.state == "Not started" else "after boot"
        if what == "PUT /actions":
            if self.state != "Not started" or set(self.configured) != CONFIGURES:
                return "not configured, or started already"
            self.state = "Running"
            return "" if words["action_type"] == "InstanceStart" else "no such action"
        if what == "PATCH /vm":
            if self.state == "Not started" or words["state"] not in ("Paused", "Resumed"):
                return "not started, or no such state"
            self.state = "Paused" if words["state"] == "Paused" else "Running"
            return ""
        if what == "PUT /snapshot/create":
            if self.state != "Paused" or words["snapshot_type"] != "Full":
                return "a snapshot is made of a paused machine"
            Path(words["snapshot_path"]).write_bytes(b"devices")
            Path(words["mem_file_path"]).write_bytes(b"memory" + bytes(1 << 20))
            return ""
        if self.state != "Not started" or self.configured:
            return "a snapshot is loaded by a fresh process"
        backend = words["mem_backend"]
        if set(backend) != {"backend_type", "backend_path"} or backend["backend_type"] != "File":
            return "no such backend"
        if Path(words["snapshot_path"]).read_bytes() != b"devices":
            return "Cannot deserialize the microVM state"
        if not Path(backend["backend_path"]).read_bytes().startswith(b"memory"):
            return "memory is not there"
        self.state = "Running" if words["resume_vm"] else "Paused"
        return ""

    def _no(self, why: str) -> web.Response:
        return web.json_response({"fault_message": why}, status=400)


class Stand:
    """A room, and an API that comes up when the monitor is launched."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.api = Api()
        self.launched: list[str] = []
        run = tmp_path / name
        run.mkdir()
        self.room = Room(
            run=run,
            name=name,
            memory_file=tmp_path / f"{name}.memory",
            tap=Tap(name),
            user=os.getuid(),
        )
        self.runner = web.AppRunner(web.Application())
        self.runner.app.router.add_route("*", "/{path:.*}", self.api.answer)

    async def launch(
        self, command: Sequence[str], files: Sequence[int], copied: Path | None
    ) -> Pid:
        self.launched = list(command)
        if copied is not None:
            await in_thread(lambda: shutil.copyfile(copied, self.room.memory_file))
        await self.runner.setup()
        await web.UnixSite(self.runner, self.launched[2]).start()
        return procfs.identify(os.getpid())


@pytest.fixture
async def stands(tmp_path: Path) -> AsyncIterator[list[Stand]]:
    made = [Stand(tmp_path, name) for name in ("one", "two")]
    yield made
    for stand in made:
        await stand.runner.cleanup()


GUEST = Guest(kernel=Kernel(Path("/k/vmlinuz"), Path("/k/initrd")), memory_bytes=320 << 20)


async def test_a_machine_boots_by_the_documented_calls(stands: list[Stand]) -> None:
    stand, vmm = stands[0], Firecracker(Path("/usr/bin/firecracker"))
    await vmm.begin(stand.room, GUEST, stand.launch, None)
    assert stand.api.state == "Running" and stand.launched[1:2] == ["--api-sock"]
    told = stand.api.configured
    assert told["PUT /machine-config"] == {"vcpu_count": 1, "mem_size_mib": 320}
    assert told["PUT /boot-source"]["kernel_image_path"] == "/k/vmlinux"
    assert told["PUT /network-interfaces/eth0"]["host_dev_name"] == "cable"


async def test_its_image_is_gone_on_from_by_a_fresh_process_that_stands_still(
    stands: list[Stand], tmp_path: Path
) -> None:
    (one, two), vmm, image = stands, Firecracker(Path("/usr/bin/firecracker")), tmp_path / "image"
    image.mkdir()
    await vmm.begin(one.room, GUEST, one.launch, None)
    await vmm.pause(one.room)
    await vmm.save(one.room, image)
    assert (image / "memory").stat().st_size == 6 + (1 << 20)
    # Nothing of it stays in the room: the guest's memory is in there.
    assert sorted(path.name for path in (one.room.run / "vmm").iterdir()) == ["api"]
    await vmm.begin(two.room, GUEST, two.launch, image)
    assert two.api.state == "Paused" and two.api.asked == ["PUT /snapshot/load"]
    await vmm.resume(two.room)
    assert two.api.state == "Running"


async def test_a_refusal_says_what_the_monitor_said(stands: list[Stand], tmp_path: Path) -> None:
    stand, vmm = stands[0], Firecracker(Path("/usr/bin/firecracker"))
    await vmm.begin(stand.room, GUEST, stand.launch, None)
    with pytest.raises(RuntimeFailure, match="made of a paused machine"):
        await vmm.save(stand.room, tmp_path)
    image = tmp_path / "damaged"
    image.mkdir()
    (image / "state").write_bytes(b"nonsense")
    (image / "memory").write_bytes(b"memory")
    with pytest.raises(RuntimeFailure, match="Cannot deserialize"):
        await vmm.begin(stands[1].room, GUEST, stands[1].launch, image)


async def test_a_monitor_that_is_gone_is_a_failure(stands: list[Stand]) -> None:
    stand, vmm = stands[0], Firecracker(Path("/usr/bin/firecracker"))
    with pytest.raises(RuntimeFailure, match="gone"):
        await vmm.pause(stand.room)

    async def dies(command: Sequence[str], files: Sequence[int], copied: Path | None) -> Pid:
        child = await asyncio.create_subprocess_exec("true")
        found = procfs.identify(child.pid)
        await child.wait()
        return found

    with pytest.raises(RuntimeFailure, match="ended as it began"):
        await vmm.begin(stand.room, GUEST, dies, None)


def test_without_the_program_or_kvm_it_says_which() -> None:
    assert Firecracker(Path("/bin/true")).lacks()
    assert "untried" in Firecracker(Path("/bin/true")).keeps()
