"""A Redis client from a URL: one server or a cluster, TLS or not, with every wait bounded."""

import asyncio
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisClusterException, RedisError

from placement.cluster import Nodes
from placement.errors import ANSWER_S, AddressRefused, passing
from placement.pipe import Pipe, Word

Client: TypeAlias = Redis | RedisCluster

_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
_CONNECT_S = 2.0
_CHECK_S = 15
"""An idle connection is tried before use after this long: the peer may be gone without a word."""
_CONNECTIONS = 64
"""To one server; whoever finds all of them busy waits for one, as long as for an answer."""
_NODE_CONNECTIONS = 512
"""To each node of a cluster, where redis-py does not wait for a free one but fails."""


class _Packing:
    """redis-py packs commands in Python where it is asynchronous, argument by argument: hiredis
    does it in C, which halves what a script's call costs us."""

    def pack_command(self, *args: Any) -> list[bytes]:  # Any: as redis-py takes them
        return list(HiredisRespSerializer().pack(*args))

    def hand_over(self, to: asyncio.Protocol) -> asyncio.Transport:
        """The transport under a connection that was made and let in; all that comes is `to`'s."""
        transport: asyncio.Transport = self._writer.transport  # type: ignore[attr-defined]
        transport.set_protocol(to)
        return transport


class _Plain(_Packing, Connection):
    pass


class _Unix(_Packing, UnixDomainSocketConnection):
    pass


class _Tls(_Packing, SSLConnection):
    pass


_PACKING = {Connection: _Plain, UnixDomainSocketConnection: _Unix, SSLConnection: _Tls}


class _Pool(BlockingConnectionPool):
    """Hands out a free connection without the locks and measurements of its base, which cost as
    much as the call; who finds none free waits as there."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.waiting = 0
        """Callers that found none free."""

    async def get_connection(
        self, command_name: Any = None, *keys: Any, **options: Any
    ) -> AbstractConnection:
        if self.waiting or not self.can_get_connection():
            self.waiting += 1
            try:
                waited: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call]
                return waited
            finally:
                self.waiting -= 1
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        self._in_use_connections.remove(connection)
        if connection.should_reconnect():  # type: ignore[no-untyped-call]
            await connection.disconnect()
        self._available_connections.append(connection)
        if self.waiting:
            async with self._condition:
                self._condition.notify()


class Server(Redis):
    """A single server, with a pipe beside the pool for what every wake asks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pipe = Pipe(self.connection_pool.make_connection, answer_s=ANSWER_S)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await self.pipe.close()
        await super().aclose(close_connection_pool)


async def ask(redis: Client, *words: Word) -> Any:  # whatever the server answers
    """One command, its answer as it came. Raises Unavailable: then it may have been carried out or
    not; other errors of the server are our own mistakes."""
    try:
        if isinstance(redis, Server):
            return await redis.pipe.command(*words)
        async with asyncio.timeout(ANSWER_S):
            return await redis.execute_command(*words)
    except (RedisError, RedisClusterException, OSError) as error:
        ours = passing(error)
        if ours is None:
            raise
        raise ours from error


def connect(url: str) -> Client:
    """A client for redis://, rediss:// and unix://, or for a cluster: redis+cluster://,
    rediss+cluster:// or ?cluster=true. Connects at the first call. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        scheme, _, cluster = parts.scheme.partition("+")
        wants_cluster = query.pop("cluster", "false").lower() in ("true", "1", "yes")
        plain = urlunsplit(parts._replace(scheme=scheme, query=urlencode(query)))
        if parts.scheme in _SCHEMES:
            return _cluster(plain) if cluster or wants_cluster else _single(plain)
    except (ValueError, TypeError) as error:
        # Only the words of our own errors: others quote the URL, which has the password in it.
        said = str(error) if isinstance(error, AddressRefused) else "a part or option of it is bad"
        raise AddressRefused(f"Redis URL refused: {said}") from None
    raise AddressRefused(
        f"Redis URL of scheme {parts.scheme[:20]!r}: use one of " + ", ".join(_SCHEMES)
    )


def _options() -> dict[str, Any]:  # Any: keyword arguments of redis-py, typed only there
    return {
        "socket_connect_timeout": _CONNECT_S,
        # Bounded by `reaching` instead: with a timeout of its own redis-py writes under
        # asyncio.wait_for, which on Python 3.11 loses a cancellation that comes as it ends.
        "socket_timeout": None,
        "health_check_interval": _CHECK_S,
        "protocol": 2,
        # One more try, at once, for a pooled connection that turned out to be closed. Every
        # script carries the id of its call, so a second execution is known as the same call; an
        # answer that does not come in time is for the caller to repeat, who knows the deadline.
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
    }


def _single(url: str) -> Server:
    options = _options() | ({} if url.startswith("unix") else {"socket_keepalive": True})
    pool = _Pool.from_url(url, max_connections=_CONNECTIONS, timeout=ANSWER_S, **options)
    pool.connection_class = _PACKING[pool.connection_class]
    server = Server.from_pool(pool)
    assert isinstance(server, Server)
    return server


def _cluster(url: str) -> RedisCluster:
    if url.startswith("unix"):
        raise AddressRefused("a cluster has no unix socket: use redis+cluster://host:port")
    return Nodes.from_url(url, max_connections=_NODE_CONNECTIONS, **_options())
