"""One kept connection to a worker: calls share it, each with a deadline of its own.

It connects when somebody calls and again after it was lost. A call whose connection ends has no
answer, and may have been carried out: that is for whoever asked to know.
"""

import asyncio
from itertools import count
from typing import cast

from lifecycle.rpc import frames
from lifecycle.rpc.frames import BadFrame, Call, Reply
from lifecycle.trust import Address

_CONNECT_S = 2.0
"""To connect and to greet."""
_QUIET_S = 10.0
"""With calls in flight and nothing heard for this long the worker is pinged, and after twice that
its machine is taken for gone: a peer that vanishes without a word ends no TCP connection."""


class Away(Exception):
    """No answer from this worker, and why: completes a sentence that begins with its name."""


class Wire:
    def __init__(self, rpc: str, key: str | None) -> None:
        self._rpc = rpc
        self._key = key
        self._line: Line | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._failed = Away("cannot be reached")

    def __repr__(self) -> str:
        return f"<Wire {self._rpc} {self._line!r}>"

    @property
    def is_idle(self) -> bool:
        return not self._connecting.locked() and (self._line is None or not self._line.is_open)

    async def call(self, name: str, ask: object, wait_s: float | None) -> Reply:
        """Raises Away; also when `wait_s` is over."""
        try:
            async with asyncio.timeout(wait_s):
                line = self._line
                if line is None or not line.is_open:
                    line = await self._connect()
                return await line.call(name, ask)
        except TimeoutError:
            raise Away("did not answer in time") from None

    def close(self) -> None:
        if self._line is not None:
            self._line.end(Away("was left"))

    async def _connect(self) -> "Line":
        seen = self._failures
        # Who holds the lock connects for all. Cancelled, it leaves that to the next one.
        async with self._connecting:
            if self._line is not None and self._line.is_open:
                return self._line
            if self._failures != seen:
                raise self._failed  # a try that ended while we waited: no queue of tries
            try:
                async with asyncio.timeout(_CONNECT_S):
                    self._line = await self._open()
            except (OSError, TimeoutError, Away) as error:
                self._failures += 1
                told = error if isinstance(error, Away) else None
                self._failed = told or Away(f"cannot be reached: {type(error).__name__}")
                raise self._failed from error
            return self._line

    async def _open(self) -> "Line":
        loop = asyncio.get_running_loop()
        address = Address.parse(self._rpc)
        if address.is_unix:
            _, line = await loop.create_unix_connection(lambda: Line(self._key), address.path)
        else:
            _, line = await loop.create_connection(
                lambda: Line(self._key), address.host, address.port
            )
        try:
            await line.greeted
        except BaseException:
            line.end(Away("was left in mid-greeting"))
            raise
        return line


class Line(asyncio.Protocol):
    def __init__(self, key: str | None) -> None:
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self._key = key
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._splitter = frames.Splitter(frames.MOST_TO_GREET)
        self._challenge = b""
        self._nonce = frames.new_nonce()
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"{'open' if self.is_open else 'ended'}, {len(self._waiting)} calls"

    @property
    def is_open(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing()

    async def call(self, name: str, ask: object) -> Reply:
        if not self.is_open or self._transport is None:
            raise Away("is not connected any more")
        if len(self._waiting) >= frames.MOST_IN_FLIGHT:
            raise Away(f"has {len(self._waiting)} calls of ours in flight")
        id_ = next(self._ids)
        data = frames.frame(Call(id_, name, frames.raw(ask)))
        if len(data) > frames.MOST_TO_WORKER:
            raise Away("is not sent a call of that size")
        if not self._waiting:
            self._begin_watch()
        answer = self._waiting[id_] = self._loop.create_future()
        self._transport.write(data)
        try:
            reply: Reply = await answer
            return reply
        finally:
            if self._waiting.pop(id_, None) is not None and self.is_open:
                # Given up: whoever waits for us there can stop, and its answer is nobody's.
                self._transport.write(frames.frame(Call(id_, frames.CANCEL)))

    def end(self, why: Away) -> None:
        """Close, and tell everybody who waits."""
        waiting, self._waiting = self._waiting, {}
        if not self.greeted.done():
            self.greeted.set_exception(why)
            self.greeted.exception()  # seen: whoever waited may have left
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(why)
                answer.exception()
        if self._transport is not None:
            self._transport.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # What the connection tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            for body in self._splitter.feed(data):
                self._take(body)
        except BadFrame as error:
            self.end(Away(f"is no worker of this version: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.end(Away("cannot be reached: the connection ended"))

    def _take(self, body: bytes) -> None:
        if self.greeted.done():
            reply = frames.read(body, Reply)
            answer = self._waiting.pop(reply.id, None)
            if answer is not None and not answer.done():
                answer.set_result(reply)
        elif not self._challenge:
            self._answer(frames.read(body, frames.Challenge))
        else:
            self._check(frames.read(body, frames.Welcome))

    def _answer(self, given: frames.Challenge) -> None:
        if given.magic != frames.MAGIC or len(given.nonce) != frames.NONCE:
            raise BadFrame("another program")
        if given.version != frames.VERSION:
            raise BadFrame(f"it speaks {given.version}, we speak {frames.VERSION}")
        self._challenge = given.nonce
        shown = frames.proof(self._key, "caller", given.nonce, self._nonce)
        assert self._transport is not None
        self._transport.write(
            frames.frame(frames.Proof(frames.MAGIC, frames.VERSION, self._nonce, shown))
        )

    def _check(self, welcome: frames.Welcome) -> None:
        if welcome.refused:
            return self.end(Away(f"refused us: {welcome.refused[:200]}"))
        wanted = frames.proof(self._key, "worker", self._challenge, self._nonce)
        if self._key is not None and not frames.is_proof(welcome.proof, wanted):
            return self.end(Away("does not have the shared key"))
        self._splitter.limit = frames.MOST_TO_CALLER
        self.greeted.set_result(None)

    # A peer that went away without a word.

    def _begin_watch(self) -> None:
        self._heard_at = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(_QUIET_S, self._look)

    def _look(self) -> None:
        self._watch = None
        if not self._waiting or not self.is_open or self._transport is None:
            return
        quiet_s = self._loop.time() - self._heard_at
        if quiet_s >= 2 * _QUIET_S:
            self._transport.abort()
            return self.end(Away("cannot be reached: nothing was heard of it"))
        if quiet_s >= _QUIET_S:
            self._transport.write(frames.frame(Call(0, frames.PING)))
        self._watch = self._loop.call_later(_QUIET_S / 2, self._look)
