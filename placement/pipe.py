"""One connection to a server that everybody's commands share: written together in each turn of the
loop, answered in order. A pool costs a caller several times what its command costs the server.

redis-py makes the connection (TLS, ACL user, database); what goes over it is ours. A command whose
caller left is carried out all the same, and its answer dropped: as with any lost answer, whoever
needs to know repeats that same call.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from hiredis import ProtocolError, Reader, pack_command
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as NoAnswer

MOST_IN_FLIGHT = 10_000
_CONNECT_S = 2.0
"""To connect and to be let in; waited for at each of a command's two tries."""
_IDLE_S = 15.0
"""A connection that was idle for longer is replaced: its peer may be gone without a word."""

Word: TypeAlias = str | bytes | int


class Opening(Protocol):
    """A connection that redis-py has made, and lets us speak on."""

    def hand_over(self, to: asyncio.Protocol) -> asyncio.Transport: ...

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...


class Pipe:
    """`command` raises redis-py's errors. `answer_s`: how long the oldest command waits for its
    answer before the connection is given up, and with it all that wait."""

    def __init__(self, make: Callable[[], Opening], *, answer_s: float) -> None:
        self._make = make
        self._answer_s = answer_s
        self._line: _Line | None = None
        self._connecting = asyncio.Lock()
        self._failures = 0
        self._failed: Exception = ConnectionLost("not connected")

    def __repr__(self) -> str:
        return f"<Pipe {self._line!r}>"

    async def command(self, *words: Word) -> Any:  # whatever the server answers
        data = pack_command(words)  # type: ignore[arg-type] # its stub has one type for all words
        line = self._line
        if line is None or not line.is_open or not line.is_fresh:
            line = await self._connect()
        try:
            return await line.send(data)
        except ConnectionLost:
            # Once more, at once: the server may have closed what was idle, or have restarted.
            # Scripts carry the id of their call, and reads change nothing.
            line = await self._connect()
            return await line.send(data)

    async def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.end(ConnectionLost("closed"))
            await line.opening.disconnect(nowait=True)

    async def _connect(self) -> "_Line":
        seen = self._failures
        # Who holds the lock connects for all. Cancelled, it leaves that to the next one.
        async with self._connecting:
            line = self._line
            if line is not None and line.is_open and line.is_fresh:
                return line
            if self._failures != seen:
                raise self._failed  # a try that ended while we waited: no queue of tries
            await self.close()
            opening = self._make()
            try:
                async with asyncio.timeout(_CONNECT_S):
                    await opening.connect()
                line = _Line(opening, self._answer_s)
            except BaseException as error:
                await opening.disconnect(nowait=True)
                if not isinstance(error, RedisError | OSError):
                    raise
                self._failures += 1
                self._failed = error if isinstance(error, RedisError) else ConnectionLost(error)
                raise self._failed from error
            self._line = line
            return line


class _Line(asyncio.Protocol):
    def __init__(self, opening: Opening, answer_s: float) -> None:
        self.opening = opening
        self._loop = asyncio.get_running_loop()
        self._answer_s = answer_s
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._reader = Reader(replyError=_error_of)
        self._watch: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        self._transport: asyncio.Transport | None = opening.hand_over(self)

    def __repr__(self) -> str:
        return f"{'open' if self.is_open else 'ended'}, {len(self._waiting)} in flight"

    @property
    def is_open(self) -> bool:
        transport = self._transport
        return transport is not None and not transport.is_closing()

    @property
    def is_fresh(self) -> bool:
        return bool(self._waiting) or self._loop.time() - self._heard_at < _IDLE_S

    def send(self, data: bytes) -> "asyncio.Future[Any]":
        """The answer to come. No await before the bytes are handed over: order is all there is."""
        if not self.is_open or self._transport is None:
            raise ConnectionLost("the connection ended")
        if len(self._waiting) >= MOST_IN_FLIGHT:
            raise NoAnswer(f"{len(self._waiting)} commands wait for an answer")
        answer = self._loop.create_future()
        self._waiting.append((self._loop.time() + self._answer_s, answer))
        self._transport.write(data)
        if self._watch is None:
            self._watch = self._loop.call_later(self._answer_s, self._look)
        return answer

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            self._reader.feed(data)
            self._take()
        except ProtocolError as error:
            self.end(ConnectionLost(f"no Redis answers there: {error}"))

    def _take(self) -> None:
        waiting = self._waiting
        while (reply := self._reader.gets()) is not False:
            if not waiting:
                return self.end(ConnectionLost("an answer that nobody asked for"))
            _, answer = waiting.popleft()
            if answer.done():
                continue  # its caller left
            if isinstance(reply, RedisError):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)

    def eof_received(self) -> None:
        self.end(ConnectionLost("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(ConnectionLost("the connection ended" if exc is None else str(exc)))

    def end(self, why: RedisError) -> None:
        waiting, self._waiting = self._waiting, deque()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for _, answer in waiting:
            if not answer.done():
                answer.set_exception(why)
                answer.exception()  # seen: a caller may be cancelled in this very turn

    def _look(self) -> None:
        """One timer for all of them: answers come in order, so the first is the oldest."""
        self._watch = None
        if not self._waiting:
            return
        until = self._waiting[0][0]
        if self._loop.time() >= until:
            return self.end(NoAnswer("no answer in time"))
        self._watch = self._loop.call_at(until, self._look)


def _error_of(message: str) -> RedisError:
    kind = NoScriptError if message.startswith("NOSCRIPT") else ResponseError
    return kind(message)
