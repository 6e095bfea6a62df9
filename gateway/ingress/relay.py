"""The relay: one graph of the parts in this room, with its start, its run and its drain.

The same class is the edge and the door; what differs is the naming and the usher it is given.
"""

import asyncio

from gateway.ingress.accesslog import AccessLog
from gateway.ingress.auth.gatekeeper import Gatekeeper
from gateway.ingress.meters import Meters
from gateway.ingress.naming import Naming
from gateway.ingress.parking import Parking
from gateway.ingress.parts import Parts
from gateway.ingress.seams import Usher
from gateway.ingress.server import LAST_WORDS_S, TICK_S, Connections, Listen, Listeners
from gateway.ingress.settings import RelaySettings
from gateway.ingress.upstream import Upstreams


class Relay:
    """`run` is the parent of everything that waits, so it is started first; then `start` listens.

    Cancelling `run`, or `drain`, ends it; after either no connection and no ticket is left.
    """

    def __init__(
        self,
        *,
        naming: Naming,
        usher: Usher,
        settings: RelaySettings | None = None,
        meters: Meters | None = None,
        access_log: AccessLog | None = None,
        gatekeeper: Gatekeeper | None = None,
    ) -> None:
        self._parts = Parts(
            naming=naming,
            usher=usher,
            settings=settings or RelaySettings(),
            meters=meters or Meters(),
            access_log=access_log,
            gatekeeper=gatekeeper,
        )
        self._listeners = Listeners(self._parts)
        self._connections = Connections(self._parts)
        self._is_running = asyncio.Event()
        self._stop = asyncio.Event()

    def __repr__(self) -> str:
        parts = self._parts
        return (
            f"<Relay {parts.naming!r} {self._connections!r} {parts.upstreams!r} {parts.parking!r}>"
        )

    @property
    def meters(self) -> Meters:
        return self._parts.meters

    @property
    def parking(self) -> Parking:
        return self._parts.parking

    @property
    def upstreams(self) -> Upstreams:
        return self._parts.upstreams

    async def run(self) -> None:
        """Until drained or cancelled."""
        self._parts.loop = asyncio.get_running_loop()
        self._parts.now = self._parts.loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                self._parts.group = group
                self._is_running.set()
                try:
                    await self._tick_until_stopped()
                finally:
                    # Before the group ends: what is begun after that would have no parent.
                    self._listeners.abort()
                    self._connections.abort()
        finally:
            self._parts.upstreams.close()
            self._flush()

    async def start(self, listens: list[Listen]) -> list[str]:
        """Listen; returns the bound addresses in the same order. Raises OSError."""
        await self._is_running.wait()
        try:
            return await self._listeners.open(listens, self._connections.make)
        except BaseException:
            self._listeners.close()
            raise

    async def drain(self, grace_s: float) -> bool:
        """Stop listening, let every request end within `grace_s`, then end what is left and `run`.
        True when nothing had to be cut."""
        self._parts.is_draining = True
        await self._listeners.close_empty()
        whole = await self._connections.drain(self._parts.time() + grace_s)
        if not whole:
            # Whoever still waits is told so, and gets a moment to read it.
            self._connections.cut()
            await self._connections.drain(self._parts.time() + LAST_WORDS_S)
        self._connections.abort()
        self._stop.set()
        return whole

    async def _tick_until_stopped(self) -> None:
        """One timer for all connections: a timer per request would cost more than the request."""
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            self._parts.now = now = loop.time()
            self._connections.sweep(now)
            self._parts.upstreams.sweep(now)
            self._flush()
            try:
                async with asyncio.timeout(TICK_S):
                    await self._stop.wait()
            except TimeoutError:
                continue

    def _flush(self) -> None:
        if self._parts.access_log is not None:
            self._parts.access_log.flush()
