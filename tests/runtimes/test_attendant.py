"""The attendant with a stand-in for its guest: frames, output, end, and what it may do."""

import asyncio
import json
import os
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtimes import attendant, netns, netpair, tap
from runtimes.base import Resources
from runtimes.cgroups import find_tree
from runtimes.fuse import Op
from runtimes.rootfs import USER
from runtimes.spawn import in_thread
from runtimes.vmseats import VmSeats, ask_files
from tests.runtimes.test_fuse import asked
from tests.runtimes.test_vmseats import status_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")


class Guest:
    """In the guest's place: listens at its address, and takes the one who comes."""

    def __init__(self, peer: socket.socket, output: int, pid: int, place: Path) -> None:
        self.peer, self.output, self.pid, self.place = peer, output, pid, place

    async def send(self, kind: bytes, body: bytes) -> None:
        data = struct.pack("<cI", kind, len(body)) + body
        await asyncio.get_running_loop().sock_sendall(self.peer, data)

    async def take(self) -> tuple[bytes, bytes]:
        head = await self._exactly(5)
        kind, size = struct.unpack("<cI", head)
        return kind, await self._exactly(size)

    async def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            chunk = await asyncio.get_running_loop().sock_recv(self.peer, size - len(found))
            assert chunk, "the attendant has hung up"
            found += chunk
        return found


@pytest.fixture
async def guest(tmp_path: Path) -> AsyncIterator[Guest]:
    tree = find_tree()
    if tree is None:
        pytest.skip("no writable cgroup2 tree")
    seat = VmSeats(root=tmp_path, tree=tree).at(secrets.token_hex(4))
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, USER, USER)
    seat.lay(1 << 20, Resources())
    netpair.ip(["-n", seat.tap.name], f"addr add {tap.GUEST}/32 dev lo", "link set lo up")
    with netns.inside(str(seat.tap.path)):
        listener = socket.socket()
    listener.bind((tap.GUEST, attendant.ADDRESS[1]))
    listener.listen()
    listener.setblocking(False)
    orders = {
        "netns": str(seat.tap.path),
        "shares": [(str(data), True)],
        "output": str(seat.fifo),
        "exited": str(seat.exited),
        "control": str(seat.control),
        "user": USER,
        "files": None,
    }
    process = seat.attend(orders)
    output = os.open(seat.fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        async with asyncio.timeout(20):
            peer, _ = await asyncio.get_running_loop().sock_accept(listener)
            hello = b""
            while not hello.endswith(b"\n"):
                hello += await asyncio.get_running_loop().sock_recv(peer, 100)
        assert json.loads(hello) == {"do": "attend"}
        with peer:
            yield Guest(peer, output, process.pid, tmp_path)
    finally:
        listener.close()
        os.close(output)
        seat.remove()
        await in_thread(lambda: os.waitpid(process.pid, 0))


async def test_it_has_no_right_but_its_actors_users(guest: Guest) -> None:
    fields = status_of(guest.pid)
    assert fields["Uid"].split() == fields["Gid"].split() == [str(USER)] * 4
    assert fields["CapEff"] == "0" * 16 and fields["Groups"].strip() == ""


async def test_questions_are_answered_and_what_is_known_is_told(guest: Guest) -> None:
    await guest.send(b"Q", asked(Op.LOOKUP, b"0\0", unique=5))
    kind, reply = await guest.take()
    assert kind == b"R" and struct.unpack_from("<IiQ", reply) == (len(reply), 0, 5)
    await guest.send(b"Q", asked(Op.MKDIR, struct.pack("<II", 0o755, 0) + b"made\0", node=2))
    await guest.take()
    assert os.stat(guest.place / "data" / "made").st_uid == USER
    (seat,) = (guest.place / "seats").iterdir()
    control = VmSeats(root=guest.place, tree=find_tree() or pytest.fail()).at(seat.name).control
    told = await asyncio.to_thread(ask_files, control, 5.0)
    assert [node[0] for node in told["nodes"]] == [2, 3]


async def test_output_is_taken_when_it_was_written_and_the_end_is_noted(guest: Guest) -> None:
    await guest.send(b"O", b"printed\n")
    assert await guest.take() == (b"A", b"")
    assert os.read(guest.output, 100) == b"printed\n"
    await guest.send(b"X", b'{"code": 3}')
    assert await guest.take() == (b"A", b"")
    (seat,) = (guest.place / "seats").iterdir()
    assert json.loads((seat / "exited").read_bytes()) == {"code": 3}


@pytest.mark.parametrize("frame", [struct.pack("<cI", b"Q", 1 << 30), struct.pack("<cI", b"?", 0)])
async def test_a_guest_that_speaks_otherwise_is_left(guest: Guest, frame: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(guest.peer, frame)
    with pytest.raises(AssertionError, match="hung up"):
        async with asyncio.timeout(10):
            await guest.take()


def test_orders_are_read_whole() -> None:
    words = {"netns": "n", "shares": [["/a", True]], "output": "o", "exited": "e"}
    more = {"control": "c", "user": 1000, "files": None}
    assert attendant.Orders.read(json.dumps({**words, **more}).encode()).shares == [("/a", True)]
    with pytest.raises(TypeError):
        attendant.Orders.read(json.dumps(words).encode())
