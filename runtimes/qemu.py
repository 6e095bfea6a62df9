"""QEMU as a monitor of microvms: its command line, and its orders by QMP.

The guest's memory is a file that QEMU maps; an image is that file and a stream of the devices'
state, so neither a suspend nor a wake passes memory through QEMU. By KVM where the processor runs
guests, else emulated, which isolates as well and is ten to twenty times slower.
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient
from qemu.qmp.error import QMPError

from runtimes import kvm, sparse, tap
from runtimes.base import RuntimeFailure
from runtimes.procfs import Pid
from runtimes.spawn import in_thread
from runtimes.vmm import COMMAND_LINE, MEMORY, STATE, Guest, Launch, Room

PROGRAM = "qemu-system-x86_64"
CALL_S = 30.0
OLDEST = (7, 0)
_POLL_S = 0.002
_VERSION = re.compile(r"version (\d+)\.(\d+)[.\d]*")
_IGNORE_SHARED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
# The emulated processor's own counter runs as fast as the real one below, whichever that is: a
# guest that goes on elsewhere, or that boots on a busy machine, would count wrongly by it.
_EMULATED_CLOCK = " clocksource=hpet tsc=unstable"
_MOST_STATE_BYTES = 64 << 20


class Qemu:
    name = "qemu"

    def __init__(self, program: Path | None = None) -> None:
        found = shutil.which(PROGRAM)
        self._program = program or (Path(found) if found else None)
        self._version = ""
        # What it logs as errors it raises too, and a guest that ended is none.
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
        self._why_no_kvm = "not tried"

    def lacks(self) -> str:
        if self._program is None:
            return f"no {PROGRAM}: run scripts/install-microvm (Debian: qemu-system-x86)"
        try:
            done = subprocess.run([self._program, "--version"], capture_output=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{self._program}: {error}"
        found = _VERSION.search(done.stdout.decode(errors="replace"))
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            return f"{self._program} is no QEMU of version {OLDEST[0]}.{OLDEST[1]} or newer"
        self._version = found[0].removeprefix("version ")
        self._why_no_kvm = kvm.why_not()
        return ""

    @property
    def is_emulated(self) -> bool:
        return bool(self._why_no_kvm)

    def keeps(self) -> str:
        how = f"emulated ({self._why_no_kvm})" if self.is_emulated else "by KVM"
        return f"QEMU {self._version}, {how}"

    def terms(self) -> Mapping[str, tuple[str, ...]]:
        processor = ("emulated",) if self.is_emulated else tuple(sorted(kvm.features()))
        return {"monitor": (f"qemu {self._version}",), "processor": processor}

    async def begin(self, room: Room, guest: Guest, launch: Launch, image: Path | None) -> Pid:
        if image is not None and not (image / MEMORY).is_file():
            raise RuntimeFailure(f"the image's {MEMORY} cannot be read")
        files: list[int] = []
        try:
            monitor = _listen(room.run / "qmp")
            files += [monitor, await in_thread(lambda: tap.device(room.tap))]
            # Opened for it: it may not go where they stand.
            files += [_open(guest.kernel.image), _open(guest.kernel.first_files)]
            if image is not None:
                files.append(_open(image / STATE))
            command = self._command(room, guest, files, is_restored=image is not None)
            await in_thread(lambda: _own(room.memory_file, guest.memory_bytes, room.user))
            copied = None if image is None else image / MEMORY
            process = await launch(command, files, copied)
        finally:
            for file in files:
                os.close(file)
        async with _orders(room) as qmp:
            if image is not None:
                await qmp.execute("migrate-set-capabilities", _IGNORE_SHARED)
                await qmp.execute("migrate-incoming", {"uri": f"fd:{files[-1]}"})
                await _migrated(qmp, "the image cannot be gone on from")
        return process

    async def pause(self, room: Room) -> None:
        async with _orders(room) as qmp:
            await qmp.execute("stop")

    async def resume(self, room: Room) -> None:
        async with _orders(room) as qmp:
            await qmp.execute("cont")

    async def save(self, room: Room, into: Path) -> None:
        place = room.run / "save"
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.setblocking(False)
            listener.bind(str(place))
            # The monitor is another user; anybody else is turned away below.
            os.chmod(place, 0o666)
            listener.listen(4)
            try:
                async with _orders(room) as qmp, asyncio.TaskGroup() as group:
                    await qmp.execute("migrate-set-capabilities", _IGNORE_SHARED)
                    taking = group.create_task(
                        _take(listener, into / STATE, room.user), name="take"
                    )
                    await qmp.execute("migrate", {"uri": f"unix:{place}"})
                    await _migrated(qmp, "the image cannot be written")
                    await taking
            except* QMPError as errors:
                raise RuntimeFailure(f"QEMU: {errors.exceptions[0]}") from errors
            except* RuntimeFailure as errors:
                raise errors.exceptions[0] from None
            finally:
                place.unlink(missing_ok=True)
        await in_thread(lambda: sparse.copy(room.memory_file, into / MEMORY))

    def _command(
        self, room: Room, guest: Guest, files: list[int], *, is_restored: bool
    ) -> list[str]:
        monitor, cable, kernel, first_files, *_ = files
        size = guest.memory_bytes
        accelerated = ["tcg,thread=multi"] if self.is_emulated else ["kvm"]
        processor = "max" if self.is_emulated else "host"
        return [
            str(self._program),
            *("-name", room.name),
            *("-machine", "pc,usb=off,vmport=off,graphics=off,memory-backend=memory"),
            *("-accel", *accelerated, "-cpu", processor, "-smp", "1", "-m", f"{size >> 20}M"),
            "-object",
            f"memory-backend-file,id=memory,size={size},mem-path={room.memory_file},share=on",
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny"),
            *("-kernel", f"/proc/self/fd/{kernel}", "-initrd", f"/proc/self/fd/{first_files}"),
            *("-append", COMMAND_LINE + (_EMULATED_CLOCK if self.is_emulated else "")),
            *("-netdev", f"tap,id=cable,fd={cable}"),
            *("-device", f"virtio-net-pci,romfile=,netdev=cable,mac={tap.GUEST_MAC}"),
            *("-device", "virtio-rng-pci"),
            *("-chardev", f"socket,id=orders,fd={monitor},server=on,wait=off"),
            *("-mon", "chardev=orders,mode=control"),
            *(("-incoming", "defer") if is_restored else ()),
        ]


@contextlib.asynccontextmanager
async def _orders(room: Room) -> AsyncIterator[QMPClient]:
    """One at a time has the monitor's ear; none of ours keeps it."""
    qmp = QMPClient(room.name)
    try:
        async with asyncio.timeout(CALL_S):
            await qmp.connect(str(room.run / "qmp"))
            try:
                yield qmp
            finally:
                await qmp.disconnect()
    except TimeoutError as error:
        raise RuntimeFailure("QEMU does not answer", retryable=True) from error
    except (QMPError, OSError, EOFError) as error:
        raise RuntimeFailure(f"QEMU: {error}") from error


async def _migrated(qmp: QMPClient, what: str) -> None:
    while True:
        told: Any = await qmp.execute("query-migrate")
        match told.get("status"):
            case "completed":
                return
            case "failed" | "cancelled":
                raise RuntimeFailure(f"{what}: {told.get('error-desc', 'QEMU does not say why')}")
            case _:
                pass
        await asyncio.sleep(_POLL_S)


async def _take(listener: socket.socket, place: Path, user: int) -> None:
    loop = asyncio.get_running_loop()
    while True:
        peer, _ = await loop.sock_accept(listener)
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        if int.from_bytes(credentials[4:8], "little") == user:
            break
        peer.close()
    with peer, place.open("xb") as file:
        size = 0
        while data := await loop.sock_recv(peer, 1 << 18):
            size += len(data)
            if size > _MOST_STATE_BYTES:
                raise RuntimeFailure("the state of a machine has no end")
            file.write(data)


def _listen(place: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(place))
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener.detach()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise RuntimeFailure(f"{path.name} cannot be read: {error.strerror}") from error


def _own(place: Path, size: int, user: int) -> None:
    """An empty file for the guest's memory that the monitor may open."""
    file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.fchown(file, user, user)
        os.ftruncate(file, size)
    finally:
        os.close(file)
