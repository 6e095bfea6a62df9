"""A worker behind its RPC, for the tests of either side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lifecycle.messages import SaveAsk, SuspendAsk, WakeAnswer, WakeAsk, Worker, WorkerStatus
from lifecycle.rpc.client import Callers, FarWorker
from lifecycle.rpc.server import serving
from lifecycle.trust import Address
from placement.model import ActorId

KEY = "correct-horse-battery-staple"


@dataclass(kw_only=True)
class Refusing:
    """A worker that answers everything with one error."""

    error: Exception
    asked: list[str] = field(default_factory=list)

    def _refuse(self, what: str) -> Exception:
        self.asked.append(what)
        return self.error

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        raise self._refuse("wake")

    async def suspend(self, ask: SuspendAsk) -> None:
        raise self._refuse("suspend")

    async def save(self, ask: SaveAsk) -> None:
        raise self._refuse("save")

    async def evict(self, namespace: str | None = None) -> bool:
        raise self._refuse("evict")

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        raise self._refuse("logs")

    async def status(self) -> WorkerStatus:
        raise self._refuse("status")

    async def drain(self) -> None:
        raise self._refuse("drain")


@asynccontextmanager
async def far(
    worker: Worker, directory: Path, *, key: str | None = None, shown: str | None = None
) -> AsyncIterator[FarWorker]:
    """`worker` behind its RPC with `key`; the caller shows `shown`."""
    path = directory / "rpc.sock"
    callers = Callers(shown)
    async with serving(worker, key, Address(path=str(path))):
        try:
            yield FarWorker(f"unix:{path}", callers)
        finally:
            await callers.close()
