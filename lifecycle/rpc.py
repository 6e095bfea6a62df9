"""The worker's RPC: the records of `messages` as JSON over HTTP, one path per call.

It listens on loopback or a unix socket, or wants the shared key; a call without it learns nothing.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from lifecycle.errors import DependencyAway, LifecycleError
from lifecycle.host.door import error_of
from lifecycle.messages import (
    Refused,
    SuspendAsk,
    WakeAnswer,
    WakeAsk,
    Worker,
    WorkerStatus,
)
from lifecycle.trust import is_bearer
from placement.model import ActorId

log = logging.getLogger(__name__)

_SPARE_S = 5.0
"""Beyond what the caller waits for: the way there and back."""
_CONNECT_S = 2.0


class LogsAsk(msgspec.Struct, frozen=True, kw_only=True):
    actor: ActorId
    tail_bytes: int


def rpc_app(worker: Worker, key: str | None) -> web.Application:
    """The server side. `key` None: whoever can connect may call (loopback or unix socket only)."""

    async def wake(body: bytes) -> bytes:
        return msgspec.json.encode(await worker.wake(msgspec.json.decode(body, type=WakeAsk)))

    async def suspend(body: bytes) -> bytes:
        await worker.suspend(msgspec.json.decode(body, type=SuspendAsk))
        return b"{}"

    async def evict(body: bytes) -> bytes:
        return msgspec.json.encode(await worker.evict())

    async def logs(body: bytes) -> bytes:
        ask = msgspec.json.decode(body, type=LogsAsk)
        return await worker.logs(ask.actor, ask.tail_bytes)

    async def status(body: bytes) -> bytes:
        return msgspec.json.encode(await worker.status())

    async def drain(body: bytes) -> bytes:
        await worker.drain()
        return b"{}"

    app = web.Application(client_max_size=64 * 1024)
    for call in (wake, suspend, evict, logs, status, drain):
        app.router.add_post(f"/rpc/v1/{call.__name__}", _guarded(call, key))
    return app


def _guarded(
    call: Callable[[bytes], Awaitable[bytes]], key: str | None
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if key is not None and not is_bearer(request.headers.get("Authorization"), key):
            return web.Response(status=401)
        try:
            body = await call(await request.read())
        except LifecycleError as error:
            refused = Refused(
                error=type(error).__name__, message=str(error), retry_after_s=error.retry_after_s
            )
            return web.Response(status=409, body=msgspec.json.encode(refused))
        except msgspec.MsgspecError as error:
            log.warning("call not understood", extra={"why": str(error)})
            return web.Response(status=400, text=str(error))
        return web.Response(body=body, content_type="application/json")

    return handle


class Callers:
    """HTTP sessions to workers, one per address; close it when the process ends."""

    def __init__(self, key: str | None) -> None:
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def session(self, rpc: str) -> aiohttp.ClientSession:
        found = self._sessions.get(rpc)
        if found is None:
            connector: aiohttp.BaseConnector
            if rpc.startswith("unix:"):
                connector = aiohttp.UnixConnector(rpc.removeprefix("unix:"), limit=0)
            else:
                connector = aiohttp.TCPConnector(limit=0)
            found = aiohttp.ClientSession(connector=connector, headers=self._headers)
            self._sessions[rpc] = found
        return found

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


class FarWorker:
    """A worker in another process (messages.Worker)."""

    def __init__(self, rpc: str, callers: Callers) -> None:
        self._rpc = rpc
        self._callers = callers
        self._base = "http://worker" if rpc.startswith("unix:") else f"http://{rpc}"

    async def wake(self, ask: WakeAsk) -> WakeAnswer:
        body = await self._call("wake", ask, wait_s=ask.wait_ms / 1000, actor=ask.actor)
        answer: WakeAnswer = self._read(body, WakeAnswer)
        return answer

    async def suspend(self, ask: SuspendAsk) -> None:
        # A snapshot takes as long as it takes (R11); the caller's own client decides how long.
        await self._call("suspend", ask, wait_s=None, actor=ask.actor)

    async def evict(self) -> bool:
        made_room: bool = self._read(await self._call("evict", {}, wait_s=30.0), bool)
        return made_room

    async def logs(self, actor: ActorId, tail_bytes: int) -> bytes:
        return await self._call(
            "logs", LogsAsk(actor=actor, tail_bytes=tail_bytes), wait_s=5.0, actor=actor
        )

    async def status(self) -> WorkerStatus:
        status: WorkerStatus = self._read(await self._call("status", {}, wait_s=5.0), WorkerStatus)
        return status

    async def drain(self) -> None:
        await self._call("drain", {}, wait_s=None)

    async def _call(
        self, name: str, ask: Any, *, wait_s: float | None, actor: ActorId | None = None
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(
            total=None if wait_s is None else wait_s + _SPARE_S, sock_connect=_CONNECT_S
        )
        try:
            async with self._callers.session(self._rpc).post(
                f"{self._base}/rpc/v1/{name}",
                data=msgspec.json.encode(ask),
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DependencyAway(
                f"worker at {self._rpc} cannot be reached: {type(error).__name__}", actor=actor
            ) from error
        if answer.status == 409:
            refused: Refused = self._read(body, Refused)
            raise error_of(refused, actor or ActorId("-", "-"))
        if answer.status != 200:
            raise DependencyAway(f"worker at {self._rpc} answered {answer.status}", actor=actor)
        return body

    def _read(self, body: bytes, kind: Any) -> Any:
        """Any: a union of records is no type to mypy."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise DependencyAway(
                f"what answers at {self._rpc} is no worker of this version: {error}"
            ) from error
