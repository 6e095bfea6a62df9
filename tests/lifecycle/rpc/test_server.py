"""The worker's side alone, spoken to in bytes: who does not greet, shows a wrong key or sends what
is no call learns nothing and costs nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from lifecycle.errors import NoSuchActor
from lifecycle.messages import WakeAnswer, WakeAsk
from lifecycle.rpc import frames
from lifecycle.rpc.frames import Call, Challenge, Kind, Proof, Reply, Welcome
from lifecycle.rpc.server import Lines, serving
from lifecycle.trust import Address
from placement.model import ActorId
from tests.lifecycle.rpc.serving import KEY, Refusing

T = TypeVar("T")
ACTOR = ActorId("demo", "c1")


class Bytes:
    """A caller that writes what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, kind: type[T]) -> T:
        async with asyncio.timeout(10):
            length = int.from_bytes(await self.reader.readexactly(4), "big")
            return frames.read(await self.reader.readexactly(length), kind)

    def write(self, record: object) -> None:
        self.writer.write(frames.frame(record))

    async def greet(self, key: str | None = None, version: int = frames.VERSION) -> Welcome:
        challenge = await self.read(Challenge)
        nonce = frames.new_nonce()
        proof = frames.proof(key, "caller", challenge.nonce, nonce)
        self.write(Proof(frames.MAGIC, version, nonce, proof))
        return await self.read(Welcome)

    async def is_cut_off(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read() == b""
            except OSError:  # cut off while it was still writing
                return True


@asynccontextmanager
async def spoken_to(path: Path) -> AsyncIterator[Bytes]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Bytes(reader, writer)
    finally:
        writer.close()


class Holding(Refusing):
    """Its wakes wait until told; counts those that were given up."""

    def __init__(self) -> None:
        super().__init__(error=NoSuchActor("x"))
        self.go = asyncio.Event()
        self.begun = asyncio.Semaphore(0)
        self.given_up = asyncio.Semaphore(0)
        self.drained = 0

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        self.begun.release()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up.release()
            raise
        raise NoSuchActor("x")

    async def drain(self) -> None:
        self.begun.release()
        await self.go.wait()
        self.drained += 1


async def test_a_call_without_the_key_is_cut_off_unread(tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("x"))
    async with serving(worker, KEY, Address(path=f"{tmp_path}/rpc")) as at:
        for shown in (None, "wrong-horse-battery-staple"):
            async with spoken_to(Path(at.path)) as it:
                welcome = await it.greet(shown)
                assert (welcome.proof, "key" in welcome.refused) == (b"", True)
                it.write(Call(1, "drain"))
                assert await it.is_cut_off()
        async with spoken_to(Path(at.path)) as it:
            await it.read(Challenge)
            it.write(Call(1, "drain"))
            assert await it.is_cut_off()
    assert worker.asked == []


async def test_a_caller_of_another_version_is_told_which_this_one_is(tmp_path: Path) -> None:
    worker = Refusing(error=NoSuchActor("x"))
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        async with spoken_to(Path(at.path)) as it:
            welcome = await it.greet(version=frames.VERSION + 1)
            assert f"version {frames.VERSION}" in welcome.refused
            assert await it.is_cut_off()


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"actor": ["demo", "c1"], "wait_ms": "soon"},
        {"wait_ms": 1},
        {"actor": ["demo", "../c1"], "wait_ms": 1},
        {"actor": ["de}mo", "c1"], "wait_ms": 1},
    ],
)
async def test_a_call_that_is_none_is_refused_before_the_worker_sees_it(
    body: object, tmp_path: Path
) -> None:
    worker = Refusing(error=NoSuchActor("x"))
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        async with spoken_to(Path(at.path)) as it:
            await it.greet()
            it.write(Call(1, "wake", frames.raw(body)))
            assert (await it.read(Reply)).kind is Kind.NOT_UNDERSTOOD
            it.write(Call(2, "format", frames.raw(None)))
            assert (await it.read(Reply)).kind is Kind.NOT_UNDERSTOOD
    assert worker.asked == []


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02\xc1\xc1", b"\xff" * 8]
)
async def test_bytes_of_another_protocol_end_the_connection(data: bytes, tmp_path: Path) -> None:
    async with serving(Holding(), None, Address(path=f"{tmp_path}/rpc")) as at:
        for is_greeted in (False, True):
            async with spoken_to(Path(at.path)) as it:
                if is_greeted:
                    await it.greet()
                else:
                    await it.read(Challenge)
                it.writer.write(data)
                assert await it.is_cut_off()


async def test_who_hangs_up_or_gives_up_ends_its_waiting_but_no_order(tmp_path: Path) -> None:
    worker = Holding()
    ask = frames.raw(WakeAsk(actor=ACTOR, wait_ms=60_000))
    async with asyncio.timeout(20), serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        async with spoken_to(Path(at.path)) as it:
            await it.greet()
            it.write(Call(1, "wake", ask))
            await worker.begun.acquire()
            it.write(Call(1, frames.CANCEL))
            await worker.given_up.acquire()
            it.write(Call(2, "wake", ask))
            it.write(Call(3, "drain"))
            for _ in range(2):
                await worker.begun.acquire()
        await worker.given_up.acquire()  # hung up: the wake is waited for by nobody
        worker.go.set()
        while not worker.drained:
            await asyncio.sleep(0.005)


async def test_more_calls_than_allowed_are_busy_and_the_rest_goes_on(tmp_path: Path) -> None:
    worker = Holding()
    ask = frames.raw(WakeAsk(actor=ACTOR, wait_ms=60_000))
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        async with spoken_to(Path(at.path)) as it:
            await it.greet()
            for id_ in range(frames.MOST_IN_FLIGHT + 1):
                it.write(Call(id_, "wake", ask))
            busy = await it.read(Reply)
            assert (busy.id, busy.kind) == (frames.MOST_IN_FLIGHT, Kind.BUSY)
            worker.go.set()
            replies = [await it.read(Reply) for _ in range(frames.MOST_IN_FLIGHT)]
            assert {reply.kind for reply in replies} == {Kind.REFUSED}
            assert {reply.id for reply in replies} == set(range(frames.MOST_IN_FLIGHT))


async def test_answers_that_nobody_reads_are_not_made_without_end(tmp_path: Path) -> None:
    """A caller that asks on and on for a log and reads nothing: its calls stay unread, too."""
    made = 0

    class Talking(Refusing):
        async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
            nonlocal made
            made += 1
            return b"x" * 1_000_000

    worker = Talking(error=NoSuchActor("x"))
    ask = frames.raw(msgspec.convert({"actor": ["demo", "c1"], "tail_bytes": 1}, dict))
    async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
        async with spoken_to(Path(at.path)) as it:
            await it.greet()
            it.writer.transport.pause_reading()  # type: ignore[attr-defined]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    for id_ in range(200_000):
                        it.write(Call(id_ + 1, "logs", ask))
                        await it.writer.drain()
            assert made < 4_000, made


async def test_a_server_that_ends_leaves_no_call_and_no_connection(tmp_path: Path) -> None:
    worker = Holding()
    lines = Lines(worker, None)
    assert repr(lines) == "<Lines 0 open, 0 calls>"
    async with asyncio.timeout(10):
        async with serving(worker, None, Address(path=f"{tmp_path}/rpc")) as at:
            reader, writer = await asyncio.open_unix_connection(at.path)
            it = Bytes(reader, writer)
            await it.greet()
            it.write(Call(1, "wake", frames.raw(WakeAsk(actor=ACTOR, wait_ms=60_000))))
            it.write(Call(2, "drain"))
            for _ in range(2):
                await worker.begun.acquire()
        assert await it.is_cut_off() and worker.drained == 0
        writer.close()
