"""The worker's side of the RPC: a protocol for each connection, a task for each call.

It listens on loopback or a unix socket, or wants the shared key; who has not shown it learns our
version and nothing else. A caller that hangs up or gives a call up ends its waiting here, and no
more: wakes and orders go on, as for one in this process.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from lifecycle.errors import LifecycleError
from lifecycle.messages import EvictAsk, LogsAsk, Refused, SaveAsk, SuspendAsk, WakeAsk, Worker
from lifecycle.rpc import frames
from lifecycle.rpc.frames import BadFrame, Call, Kind, Reply
from lifecycle.trust import Address
from placement.model import ActorId, InvalidName

log = logging.getLogger(__name__)

_GREET_S = 5.0
_MOST_LINES = 1024
_ORDERS = frozenset({"suspend", "evict", "drain"})
"""Carried out to their end, whoever asked: half of one is worth nothing to anybody."""

_Method = Callable[[bytes], Awaitable[object]]


@asynccontextmanager
async def serving(worker: Worker, key: str | None, at: Address) -> AsyncIterator[Address]:
    """Answer calls inside the block; gives where, with the port the kernel chose. `key` None:
    whoever can connect may call. Calls that have no answer at the end get none."""
    loop = asyncio.get_running_loop()
    lines = Lines(worker, key)
    if at.is_unix:
        server: asyncio.Server = await loop.create_unix_server(lines.accept, at.path)
        os.chmod(at.path, 0o600)
        bound = at
    else:
        server = await loop.create_server(lines.accept, at.host, at.port)
        bound = Address(host=at.host, port=server.sockets[0].getsockname()[1])
    broken: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            lines.group = group
            try:
                yield bound
            except Exception as error:  # noqa: BLE001 # raised again below: out of here it is wrapped
                broken = error
            finally:
                server.close()
                lines.close()
        if broken is not None:
            raise broken
    finally:
        await server.wait_closed()


class Lines:
    """The connections of one worker, and what may be asked over them."""

    def __init__(self, worker: Worker, key: str | None) -> None:
        self.key = key
        self.group: asyncio.TaskGroup | None = None
        self.open: set[Line] = set()
        self.calls: set[asyncio.Task[None]] = set()
        """In flight, those of lost connections too."""
        self._worker = worker
        self._methods: dict[str, _Method] = {
            "wake": self._wake,
            "suspend": self._suspend,
            "save": self._save,
            "evict": self._evict,
            "logs": self._logs,
            "status": self._status,
            "drain": self._drain,
        }

    def __repr__(self) -> str:
        return f"<Lines {len(self.open)} open, {len(self.calls)} calls>"

    def accept(self) -> "Line":
        return Line(self)

    def close(self) -> None:
        for line in tuple(self.open):
            line.end()
        for call in tuple(self.calls):
            call.cancel()

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self.group is not None
        task = self.group.create_task(work, name=name)
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)
        return task

    async def answer(self, call: Call) -> bytes:
        """The frame that answers it, whatever happens but cancellation."""
        try:
            method = self._methods.get(call.name)
            if method is None:
                return frames.frame(Reply(call.id, Kind.NOT_UNDERSTOOD, frames.raw(call.name[:40])))
            done = await method(bytes(call.body))
        except LifecycleError as error:
            refused = Refused(
                error=type(error).__name__, message=str(error), retry_after_s=error.retry_after_s
            )
            return frames.frame(Reply(call.id, Kind.REFUSED, frames.raw(refused)))
        except (msgspec.MsgspecError, InvalidName) as error:
            log.warning("call not understood", extra={"why": str(error), "call": call.name})
            return frames.frame(Reply(call.id, Kind.NOT_UNDERSTOOD, frames.raw(str(error))))
        except Exception:
            log.exception("call broke", extra={"call": call.name})
            return frames.frame(Reply(call.id, Kind.BROKEN))
        return frames.frame(Reply(call.id, Kind.OK, frames.raw(done)))

    async def _wake(self, body: bytes) -> object:
        ask = _wake_ask(body)
        _check(ask.actor)
        return await self._worker.wake(ask)

    async def _suspend(self, body: bytes) -> object:
        ask = msgspec.msgpack.decode(body, type=SuspendAsk)
        _check(ask.actor)
        await self._worker.suspend(ask)
        return None

    async def _save(self, body: bytes) -> object:
        ask = msgspec.msgpack.decode(body, type=SaveAsk)
        _check(ask.actor)
        await self._worker.save(ask)
        return None

    async def _evict(self, body: bytes) -> object:
        ask = msgspec.msgpack.decode(body, type=EvictAsk | None)
        return await self._worker.evict(None if ask is None else ask.namespace)

    async def _logs(self, body: bytes) -> object:
        ask = msgspec.msgpack.decode(body, type=LogsAsk)
        _check(ask.actor)
        return await self._worker.logs(ask.actor, ask.tail_bytes)

    async def _status(self, body: bytes) -> object:
        return await self._worker.status()

    async def _drain(self, body: bytes) -> object:
        await self._worker.drain()
        return None


_wake_ask = msgspec.msgpack.Decoder(WakeAsk).decode


def _check(actor: ActorId) -> None:
    """Names from the wire become keys and paths. Raises InvalidName."""
    ActorId.of(actor.namespace, actor.name)


class Line(asyncio.Protocol):
    """One caller's connection: its greeting, then calls, each answered when it is done."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._transport: asyncio.Transport | None = None
        self._splitter = frames.Splitter(frames.MOST_TO_GREET)
        self._nonce = frames.new_nonce()
        self._greeting: asyncio.TimerHandle | None = None
        self._is_greeted = False
        self._is_behind = False
        """It does not read its answers as fast as they come."""
        self.calls: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._transport = transport
        if len(self._lines.open) >= _MOST_LINES:
            log.warning("too many callers at once", extra={"most": _MOST_LINES})
            transport.abort()
            return
        self._lines.open.add(self)
        loop = asyncio.get_running_loop()
        self._greeting = loop.call_later(_GREET_S, transport.abort)
        challenge = frames.Challenge(frames.MAGIC, frames.VERSION, self._nonce)
        transport.write(frames.frame(challenge))

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._splitter.feed(data):
                if self._is_greeted:
                    self._take(frames.read(body, Call))
                else:
                    self._greet(frames.read(body, frames.Proof))
        except BadFrame as error:
            log.warning("caller cut off", extra={"why": str(error)})
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.open.discard(self)
        if self._greeting is not None:
            self._greeting.cancel()
        self._transport = None
        for id_ in tuple(self.calls):
            self._give_up(id_)

    def pause_writing(self) -> None:
        """Who does not read its answers gets no more of them."""
        self._is_behind = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_behind = False
        if self._transport is not None:
            self._transport.resume_reading()

    def end(self) -> None:
        if self._transport is None:
            return
        if self._is_behind:
            self._transport.abort()  # what it does not read is not waited for
        else:
            self._transport.close()

    def _greet(self, shown: frames.Proof) -> None:
        key, nonces = self._lines.key, (self._nonce, shown.nonce)
        if (shown.magic, shown.version) != (frames.MAGIC, frames.VERSION):
            return self._refuse(f"this worker speaks version {frames.VERSION}")
        if len(shown.nonce) != frames.NONCE:
            raise BadFrame("a nonce of another size")
        if key is not None and not frames.is_proof(
            shown.proof, frames.proof(key, "caller", *nonces)
        ):
            return self._refuse("the shared key is another one")
        assert self._greeting is not None
        self._greeting.cancel()
        self._is_greeted = True
        self._splitter.limit = frames.MOST_TO_WORKER
        self._write(frames.frame(frames.Welcome(frames.proof(key, "worker", *nonces))))

    def _refuse(self, why: str) -> None:
        self._write(frames.frame(frames.Welcome(b"", why)))
        raise BadFrame(why)

    def _take(self, call: Call) -> None:
        if call.name == frames.CANCEL:
            self._give_up(call.id)
        elif call.name == frames.PING:
            self._write(frames.frame(Reply(call.id, Kind.OK)))
        elif call.id in self.calls:
            raise BadFrame(f"call {call.id} is in flight already")
        elif len(self.calls) >= frames.MOST_IN_FLIGHT:
            self._write(frames.frame(Reply(call.id, Kind.BUSY)))
        else:
            self.calls[call.id] = self._lines.begin(self._answer(call), call.name)

    async def _answer(self, call: Call) -> None:
        try:
            self._write(await self._lines.answer(call))
        finally:
            self.calls.pop(call.id, None)

    def _give_up(self, id_: int) -> None:
        task = self.calls.get(id_)
        if task is not None and task.get_name() not in _ORDERS:
            task.cancel()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
