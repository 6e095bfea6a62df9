"""Firecracker as a monitor of microvms: its orders by HTTP over a unix socket.

Not run by us: the machines that rouse is developed on have no KVM. Every call is checked against
the documented API (1.7 and newer), by a server that answers as the documents say; whoever has KVM
should try it before relying on it. It boots an uncompressed kernel (`vmlinux` beside the first
files), which Debian's packages do not have.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from runtimes import kvm, sparse, tap
from runtimes.base import RuntimeFailure
from runtimes.procfs import Pid, is_alive
from runtimes.spawn import in_thread
from runtimes.vmm import MEMORY, STATE, Guest, Launch, Room

PROGRAM = "firecracker"
CALL_S = 30.0
COMMAND_LINE = "quiet panic=-1 reboot=k init_on_free=1"
"""It ends where a guest asks its keyboard for a restart."""
_VERSION = re.compile(r"v(\d+\.\d+\.\d+)")
_ASK_AGAIN_S = 0.005
_PLACE = "vmm"
"""Below a room: where the monitor may make files."""


class Firecracker:
    name = "firecracker"
    is_emulated = False

    def __init__(self, program: Path | None = None) -> None:
        found = shutil.which(PROGRAM)
        self._program = program or (Path(found) if found else None)
        self._version = ""

    def lacks(self) -> str:
        if self._program is None:
            return f"no {PROGRAM} on PATH"
        if why_not := kvm.why_not():
            return f"{PROGRAM} needs KVM: {why_not}"
        try:
            done = subprocess.run([self._program, "--version"], capture_output=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{self._program}: {error}"
        found = _VERSION.search(done.stdout.decode(errors="replace"))
        if found is None:
            return f"{self._program} is no Firecracker"
        self._version = found[1]
        return ""

    def keeps(self) -> str:
        return f"Firecracker {self._version}, by KVM (untried by rouse's own tests)"

    def terms(self) -> Mapping[str, tuple[str, ...]]:
        return {
            "monitor": (f"firecracker {self._version}",),
            "processor": tuple(sorted(kvm.features())),
        }

    async def begin(self, room: Room, guest: Guest, launch: Launch, image: Path | None) -> Pid:
        place = room.run / _PLACE
        await in_thread(lambda: _lay(room, place, image))
        command = [str(self._program), "--api-sock", str(place / "api"), "--id", room.run.name]
        process = await launch(command, [], None if image is None else image / MEMORY)
        await _until_it_listens(room, process)
        if image is not None:
            await self._load(room)
        else:
            await self._boot(room, guest)
        return process

    async def pause(self, room: Room) -> None:
        await _ask(room, "PATCH", "/vm", {"state": "Paused"})

    async def resume(self, room: Room) -> None:
        await _ask(room, "PATCH", "/vm", {"state": "Resumed"})

    async def save(self, room: Room, into: Path) -> None:
        place = room.run / _PLACE
        words = {
            "snapshot_type": "Full",
            "snapshot_path": str(place / STATE),
            "mem_file_path": str(place / MEMORY),
        }
        try:
            await _ask(room, "PUT", "/snapshot/create", words)
            await in_thread(lambda: sparse.copy(place / STATE, into / STATE))
            await in_thread(lambda: sparse.copy(place / MEMORY, into / MEMORY))
        finally:
            for name in (STATE, MEMORY):
                (place / name).unlink(missing_ok=True)

    async def _boot(self, room: Room, guest: Guest) -> None:
        size = guest.memory_bytes >> 20
        kernel = guest.kernel.image.with_name("vmlinux")
        source = {
            "kernel_image_path": str(kernel),
            "initrd_path": str(guest.kernel.first_files),
            "boot_args": COMMAND_LINE,
        }
        cable = {"iface_id": "eth0", "host_dev_name": tap.DEVICE, "guest_mac": tap.GUEST_MAC}
        await _ask(room, "PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": size})
        await _ask(room, "PUT", "/boot-source", source)
        await _ask(room, "PUT", "/network-interfaces/eth0", cable)
        await _ask(room, "PUT", "/entropy", {})
        await _ask(room, "PUT", "/actions", {"action_type": "InstanceStart"})

    async def _load(self, room: Room) -> None:
        words = {
            "snapshot_path": str(room.run / _PLACE / f"given-{STATE}"),
            "mem_backend": {"backend_type": "File", "backend_path": str(room.memory_file)},
            "resume_vm": False,
        }
        await _ask(room, "PUT", "/snapshot/load", words)


async def _ask(room: Room, method: str, path: str, words: Mapping[str, Any]) -> None:
    connector = aiohttp.UnixConnector(path=str(room.run / _PLACE / "api"))
    limit = aiohttp.ClientTimeout(total=CALL_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit) as session,
            session.request(method, f"http://localhost{path}", json=words) as answer,
        ):
            if answer.status != 204:
                said = (await answer.text())[:500]
                raise RuntimeFailure(f"Firecracker refused {path}: {answer.status} {said}")
    except TimeoutError as error:
        raise RuntimeFailure("Firecracker does not answer", retryable=True) from error
    except aiohttp.ClientError as error:
        raise RuntimeFailure(f"Firecracker is gone: {error}") from error


async def _until_it_listens(room: Room, process: Pid) -> None:
    place = room.run / _PLACE / "api"
    try:
        async with asyncio.timeout(CALL_S):
            while not place.exists():
                if not is_alive(process):
                    raise RuntimeFailure("Firecracker ended as it began")
                await asyncio.sleep(_ASK_AGAIN_S)
    except TimeoutError as error:
        raise RuntimeFailure("Firecracker does not come up", retryable=True) from error


def _lay(room: Room, place: Path, image: Path | None) -> None:
    """A directory for the monitor, and of an image what it may not read where that stands."""
    place.mkdir(mode=0o700)
    if image is not None:
        given = place / f"given-{STATE}"
        try:
            sparse.copy(image / STATE, given)
        except OSError as error:
            raise RuntimeFailure(f"{STATE} cannot be read: {error.strerror}") from error
        os.chown(given, room.user, room.user)
        os.close(os.open(room.memory_file, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.chown(room.memory_file, room.user, room.user)
    os.chown(place, room.user, room.user)
