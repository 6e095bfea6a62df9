"""What QEMU is asked for; that it does so is in tests/contract/test_microvm.py."""

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtimes import procfs
from runtimes.base import RuntimeFailure
from runtimes.kernel import Kernel
from runtimes.qemu import Qemu
from runtimes.tap import Tap
from runtimes.vmm import Guest, Room


def room(run: Path) -> Room:
    return Room(run=run, name="n", memory_file=run / "memory", tap=Tap("none"), user=65_534)


def test_what_is_no_qemu_does_not_work() -> None:
    assert "no QEMU" in Qemu(Path("/bin/true")).lacks()
    assert "/no/such" in Qemu(Path("/no/such")).lacks()


async def test_a_monitor_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="QEMU"):
        await Qemu(Path("/bin/true")).pause(room(tmp_path))


async def test_a_monitor_that_refuses_is_quoted(tmp_path: Path) -> None:
    """As QEMU speaks: a greeting, an answer for each order."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version = {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}
        writer.write(json.dumps({"QMP": {"version": version, "capabilities": []}}).encode() + b"\n")
        # An order has no end but its own, and the next one waits for its answer.
        while data := await reader.read(65_536):
            order = json.loads(data)
            answer: dict[str, object] = {"return": {}}
            if order["execute"] == "cont":
                answer = {"error": {"class": "GenericError", "desc": "it is on fire"}}
            whose = {"id": order["id"]} if "id" in order else {}
            writer.write(json.dumps({**answer, **whose}).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "qmp")
    async with server:
        await Qemu(Path("/bin/true")).pause(room(tmp_path))
        with pytest.raises(RuntimeFailure, match="on fire"):
            await Qemu(Path("/bin/true")).resume(room(tmp_path))


async def test_an_image_without_memory_launches_nothing(tmp_path: Path) -> None:
    async def launch(
        command: Sequence[str], files: Sequence[int], copied: Path | None
    ) -> procfs.Pid:
        raise AssertionError(command)

    guest = Guest(kernel=Kernel(Path("/k"), Path("/i")), memory_bytes=1 << 20)
    with pytest.raises(RuntimeFailure, match="memory"):
        await Qemu(Path("/bin/true")).begin(room(tmp_path), guest, launch, tmp_path)


async def test_only_the_monitor_may_hand_in_a_machines_state(tmp_path: Path) -> None:
    from runtimes.qemu import _take

    with socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(str(tmp_path / "save"))
        listener.listen()
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(_take(listener, tmp_path / "state", 65_534), name="take")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "save")
            # We are another user than that: turned away, and nothing is written.
            assert await reader.read() == b""
            writer.close()
            assert not (tmp_path / "state").exists()
            taking.cancel()
