"""One connection that calls share: who waits, who leaves, and what a lost connection leaves."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from lifecycle.errors import NoSuchActor
from lifecycle.messages import WakeAsk
from lifecycle.rpc import frames, wire
from lifecycle.rpc.frames import Kind
from lifecycle.rpc.server import serving
from lifecycle.rpc.wire import Away, Wire
from lifecycle.trust import Address
from placement.model import ActorId
from tests.lifecycle.rpc.serving import KEY, Refusing
from tests.lifecycle.rpc.test_server import Holding

ACTOR = ActorId("demo", "c1")
ASK = WakeAsk(actor=ACTOR, wait_ms=60_000)


async def test_calls_share_one_connection_and_answers_come_in_any_order(tmp_path: Path) -> None:
    worker = Holding()
    async with serving(worker, KEY, Address(path=f"{tmp_path}/rpc")) as at:
        it = Wire(str(at), KEY)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            slow = [group.create_task(it.call("wake", ASK, None)) for _ in range(50)]
            for _ in slow:
                await worker.begun.acquire()
            assert (await it.call("evict", None, 5)).kind is Kind.REFUSED
            assert "50 calls" in repr(it)
            worker.go.set()
        assert {task.result().kind for task in slow} == {Kind.REFUSED}
        it.close()


async def test_a_caller_that_leaves_is_forgotten_on_both_sides(tmp_path: Path) -> None:
    worker = Holding()
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        it = Wire(str(at), None)
        async with asyncio.timeout(10):
            async with asyncio.TaskGroup() as group:
                gone = group.create_task(it.call("wake", ASK, None))
                await worker.begun.acquire()
                gone.cancel()
            with pytest.raises(Away, match="in time"):
                await it.call("wake", ASK, 0.05)
            for _ in range(2):
                await worker.given_up.acquire()
            assert "0 calls" in repr(it)
        it.close()


async def test_a_worker_that_ends_is_away_for_all_and_found_again_after_its_restart(
    tmp_path: Path,
) -> None:
    at, it = Address(path=f"{tmp_path}/rpc"), Wire(f"unix:{tmp_path}/rpc", None)
    worker = Holding()
    async with asyncio.timeout(20):
        async with asyncio.TaskGroup() as group:
            async with serving(worker, None, at):
                tasks = [group.create_task(_told(it)) for _ in range(3)]
                for _ in tasks:
                    await worker.begun.acquire()
        assert {t.result() for t in tasks} == {"cannot be reached: the connection ended"}
        assert (await _told(it)).startswith("cannot be reached")
        os.unlink(at.path)
        async with serving(Refusing(error=NoSuchActor("x")), None, at):
            assert (await it.call("wake", ASK, 5)).kind is Kind.REFUSED
            it.close()


async def _told(it: Wire) -> str:
    with pytest.raises(Away) as caught:
        await it.call("wake", ASK, 10)
    return str(caught.value)


async def test_a_mute_worker_costs_all_callers_one_try_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says nothing, as one that is stopped does: not a queue of tries."""
    monkeypatch.setattr(wire, "_CONNECT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{tmp_path}/rpc")
        mute.listen(100)
        it = Wire(f"unix:{tmp_path}/rpc", None)
        async with asyncio.timeout(5):
            told = await asyncio.gather(*(_told(it) for _ in range(40)))
        assert set(told) == {"cannot be reached: TimeoutError"}
        assert it.is_idle


async def test_who_is_cancelled_in_mid_greeting_leaves_the_connecting_to_the_next(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{tmp_path}/rpc")
        mute.listen(1)
        it = Wire(f"unix:{tmp_path}/rpc", None)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(it.call("wake", ASK, 10))
            second = group.create_task(it.call("evict", None, 10))
            loop = asyncio.get_running_loop()
            mute.setblocking(False)
            taken, _ = await loop.sock_accept(mute)
            with taken:
                mute.close()
                os.unlink(f"{tmp_path}/rpc")
                worker = Refusing(error=NoSuchActor("x"))
                async with serving(worker, None, Address(path=f"{tmp_path}/rpc")):
                    first.cancel()
                    assert (await second).kind is Kind.REFUSED
                    it.close()
        assert first.cancelled() and worker.asked == ["evict"]


async def test_another_program_or_version_or_key_is_said_by_name(tmp_path: Path) -> None:
    async def speak(data: bytes) -> str:
        async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            await reader.read()
            writer.close()

        path = tmp_path / f"{len(data)}"
        server = await asyncio.start_unix_server(say, str(path))
        try:
            return await _told(Wire(f"unix:{path}", KEY))
        finally:
            server.close()

    assert "no worker of this version" in await speak(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    other = frames.Challenge(frames.MAGIC, 99, frames.new_nonce())
    assert "speaks 99" in await speak(frames.frame(other))
    async with serving(Holding(), None, Address(path=f"{tmp_path}/rpc")) as at:
        assert "does not have the shared key" in await _told(Wire(str(at), KEY))


async def test_a_worker_whose_machine_is_gone_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes, not even the end of the connection; a slow answer alone is no such thing."""
    monkeypatch.setattr(wire, "_QUIET_S", 0.2)
    worker = Holding()
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        it = Wire(str(at), None)
        with pytest.raises(Away, match="in time"):
            await it.call("wake", ASK, 1.0)  # five times as long as that, and pinged
        it.close()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames.frame(frames.Challenge(frames.MAGIC, 1, frames.new_nonce())))
        await reader.read(4)
        writer.write(frames.frame(frames.Welcome(b"")))
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(greet, f"{tmp_path}/mute")
    with pytest.raises(Away, match="nothing was heard"):
        await Wire(f"unix:{tmp_path}/mute", None).call("wake", ASK, 10)
    server.close()
