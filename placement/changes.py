"""The change feed: what moved in the table, as a hint. Losing it costs a hop, never an answer."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from redis.exceptions import RedisError

from placement import keys
from placement.connect import Client
from placement.errors import Unavailable, reaching
from placement.model import ActorId, ActorState, InvalidName
from placement.wire import STATE

log = logging.getLogger(__name__)

_LISTEN_S = 1.0
_UNANSWERED = 5
"""Silent seconds, each with a ping that got no answer."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorChanged:
    actor: ActorId
    uid: str
    epoch: int
    revision: int
    state: ActorState | None
    """None: deleted."""
    door: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChanged:
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaChanged:
    namespace: str


@dataclass(frozen=True, slots=True)
class Resync:
    """The feed begins, or had a gap: whatever was kept may be old."""


Change: TypeAlias = ActorChanged | TemplateChanged | QuotaChanged | Resync
Listener: TypeAlias = Callable[[Change], None]


def parse(message: str) -> Change:
    """A change from its message. Raises ValueError for one that is not ours."""
    kind, _, rest = message.partition(" ")
    if kind == "t":
        namespace, _, name = rest.partition("/")
        return TemplateChanged(namespace=namespace, name=name)
    if kind == "q":
        return QuotaChanged(namespace=rest)
    if kind != "a":
        raise ValueError(f"unknown change {message[:80]!r}")
    actor, uid, epoch, revision, state, door = rest.split(" ", 5)
    return ActorChanged(
        actor=ActorId.parse(actor),
        uid=uid,
        epoch=int(epoch),
        revision=int(revision),
        state=None if state == "-" else STATE[state],
        door=door or None,
    )


class Feed:
    """Tells every listener every change, from the moment it has told Resync."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._listeners: list[Listener] = []
        self._is_away = False
        self.connected = asyncio.Event()
        """Set while the feed hears; what moved before is covered by the Resync just told."""

    def __repr__(self) -> str:
        state = "hears" if self.connected.is_set() else "is away"
        return f"<Feed {state}, {len(self._listeners)} listeners>"

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each change, on the loop; it must not block or raise. Returns what
        ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def run(self) -> None:
        """Hear until cancelled; subscribe anew whenever Redis was away."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._hear()
            except (Unavailable, RedisError, OSError) as error:
                pause_s = _FIRST_PAUSE_S if self.connected.is_set() else pause_s
                self._say_away(error)
            finally:
                self.connected.clear()
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _hear(self) -> None:
        async with self._redis.pubsub() as pubsub:
            async with reaching():
                # Of a cluster, redis-py's subscriptions take the nodes as known.
                _ = await self._redis.initialize()
                await pubsub.subscribe(keys.CHANGES)
            unanswered = 0
            while unanswered < _UNANSWERED:
                message: Any = await pubsub.get_message(timeout=_LISTEN_S)
                if message is None:
                    # A peer that went away without a word would else never be noticed.
                    async with reaching():
                        await pubsub.ping()
                    unanswered += 1
                    continue
                unanswered = 0
                if message["type"] == "subscribe":
                    self._begin()
                elif message["type"] == "message":
                    self._take(message["data"].decode())
        raise Unavailable("the server does not answer")

    def _begin(self) -> None:
        if self._is_away:
            log.info("change feed is back")
        self._is_away = False
        # First the word that what is kept may be old, then that the feed is there.
        self._tell(Resync())
        self.connected.set()

    def _take(self, message: str) -> None:
        try:
            change = parse(message)
        except (ValueError, KeyError, InvalidName):
            # Of a newer version, perhaps: a hint that we cannot read is no hint.
            log.warning("change not understood", extra={"change": message[:200]})
            return
        self._tell(change)

    def _tell(self, change: Change) -> None:
        for listener in tuple(self._listeners):
            listener(change)

    def _say_away(self, error: Exception) -> None:
        if not self._is_away:
            log.warning("change feed is away", extra={"error": str(error)[:200]})
        self._is_away = True
