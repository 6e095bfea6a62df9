"""The caller's side of the RPC: one kept connection per worker, all calls on it."""

from typing import Any

import msgspec

from lifecycle.errors import DependencyAway
from lifecycle.host.door import error_of
from lifecycle.messages import (
    EvictAsk,
    LogsAsk,
    Refused,
    SaveAsk,
    SuspendAsk,
    WakeAnswer,
    WakeAsk,
    WorkerStatus,
)
from lifecycle.rpc.frames import Kind, Reply
from lifecycle.rpc.wire import Away, Wire
from placement.model import ActorId

_SPARE_S = 5.0
"""Beyond what the caller waits for: the way there and back."""


class Callers:
    """Connections to workers, one per address; close it when the process ends."""

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._wires: dict[str, Wire] = {}

    def __repr__(self) -> str:
        return f"<Callers {list(self._wires.values())}>"

    def wire(self, rpc: str) -> Wire:
        found = self._wires.get(rpc)
        if found is None:
            # Each start of a worker may be another address: those that nobody uses go first.
            for address, wire in list(self._wires.items()):
                if wire.is_idle:
                    del self._wires[address]
            found = self._wires[rpc] = Wire(rpc, self._key)
        return found

    async def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()


_of = msgspec.msgpack.Decoder
_wake_answer: "msgspec.msgpack.Decoder[WakeAnswer]" = _of(WakeAnswer)


class FarWorker:
    """A worker in another process (messages.Worker)."""

    def __init__(self, rpc: str, callers: Callers) -> None:
        self._rpc = rpc
        self._callers = callers

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        body = await self._call("wake", ask, wait_s=ask.wait_ms / 1000, actor=ask.actor)
        answer: WakeAnswer = self._read(body, _wake_answer)
        return answer

    async def suspend(self, ask: SuspendAsk) -> None:
        # A snapshot takes as long as it takes (R11); the caller's own client decides how long.
        await self._call("suspend", ask, wait_s=None, actor=ask.actor)

    async def save(self, ask: SaveAsk) -> None:
        await self._call("save", ask, wait_s=ask.wait_ms / 1000, actor=ask.actor)

    async def evict(self, namespace: str | None = None) -> bool:
        ask = EvictAsk(namespace=namespace)
        made_room: bool = self._read(await self._call("evict", ask, wait_s=30.0), _of(bool))
        return made_room

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        ask = LogsAsk(actor=actor, tail_bytes=tail_bytes)
        end: bytes = self._read(await self._call("logs", ask, wait_s=5.0, actor=actor), _of(bytes))
        return end

    async def status(self) -> WorkerStatus:
        answer = await self._call("status", None, wait_s=5.0)
        status: WorkerStatus = self._read(answer, _of(WorkerStatus))
        return status

    async def drain(self) -> None:
        await self._call("drain", None, wait_s=None)

    async def _call(
        self, name: str, ask: object, *, wait_s: float | None, actor: ActorId | None = None
    ) -> Reply:
        wait_s = None if wait_s is None else wait_s + _SPARE_S
        try:
            reply = await self._callers.wire(self._rpc).call(name, ask, wait_s)
        except Away as error:
            raise DependencyAway(f"worker at {self._rpc} {error}", actor=actor) from error
        if reply.kind is Kind.REFUSED:
            refused: Refused = self._read(reply, _of(Refused))
            raise error_of(refused, actor or ActorId("-", "-"))
        if reply.kind is not Kind.OK:
            raise DependencyAway(
                f"worker at {self._rpc} answered {reply.kind.name.lower()}", actor=actor
            )
        return reply

    def _read(self, reply: Reply, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
        """Any: a union of records is no type to mypy."""
        try:
            return decoder.decode(reply.body)
        except msgspec.MsgspecError as error:
            raise DependencyAway(
                f"what answers at {self._rpc} is no worker of this version: {error}"
            ) from error
