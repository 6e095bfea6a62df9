"""Connections to the outside: one exchange at a time each, kept for the same copy of an actor.

Never shared between actors: what one of them left in a connection must not meet another's request.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from gateway.egress.config.model import SYSTEM_TLS, BackendTls
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.wire import Wire

if TYPE_CHECKING:
    from gateway.ingress.codec.response import AnswerHead

IDLE_S = 30.0
FRESH_S = 4.0
"""A request that can't be repeated takes only a connection idle for less than this."""
CONNECT_S = 10.0
_MOST_IDLE = 512
_MOST_IDLE_PER_KEY = 32


class Using(Protocol):
    """Who uses a connection: an exchange, or the tunnel that it became."""

    def on_answer(self, data: bytes) -> None: ...
    def on_answer_end(self) -> None: ...
    def on_upstream_lost(self) -> None: ...
    def on_upstream_full(self, is_full: bool) -> None: ...


class Upstream(Wire):
    def __init__(self, home: "Upstreams", key: object) -> None:
        self._home = home
        self.key = key
        self.user: Using | None = None
        self.was_used = False
        self.idle_since = 0.0
        self.last_answer: AnswerHead | None = None
        """Servers repeat their heads; an equal one is not looked at again."""
        self.last_edited: tuple[object, object, bytes] | None = None
        self._ready: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Upstream {'in use' if self.user else 'idle'}>"

    def on_data(self, data: bytes) -> None:
        if self.user is not None:
            self.user.on_answer(data)
        else:
            self.abort()  # nobody asked: it would be read as the next request's answer

    def on_end(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ConnectionResetError("closed in the handshake"))
        if self.user is not None:
            self.user.on_answer_end()
        else:
            self.abort()

    def on_lost(self, error: Exception | None) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error or ConnectionResetError("closed"))
        user, self.user = self.user, None
        self._home.forget(self)
        if user is not None:
            user.on_upstream_lost()

    def on_full(self, is_full: bool) -> None:
        if self.user is not None:
            self.user.on_upstream_full(is_full)

    def on_ready(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def on_tls_failed(self, error: ssl.SSLError) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
        self.abort()

    async def shake_hands(self, context: ssl.SSLContext, hostname: str) -> None:
        """Raises OSError (ssl.SSLError is one)."""
        self._ready = asyncio.get_running_loop().create_future()
        self.begin_tls(context, server=False, hostname=hostname)
        await self._ready

    def drop(self) -> None:
        """End it now; nothing of it reaches its user any more."""
        self.user = None
        self.abort()


class Contexts:
    """One context for each way of verifying. Made when a document is loaded, off the loop."""

    def __init__(self) -> None:
        self._made: dict[BackendTls, ssl.SSLContext] = {}

    def prepare(self, wanted: Iterable[BackendTls]) -> None:
        """Blocks. Raises OSError, ssl.SSLError: then nothing is changed."""
        self._made = {tls: client_context(tls) for tls in set(wanted)}

    def add_system(self) -> None:
        """For what a request names itself; blocks."""
        if SYSTEM_TLS not in self._made:
            self._made[SYSTEM_TLS] = client_context(SYSTEM_TLS)

    @property
    def system(self) -> ssl.SSLContext:
        return self._made[SYSTEM_TLS]

    def of(self, tls: BackendTls) -> ssl.SSLContext:
        return self._made[tls]


def client_context(tls: BackendTls) -> ssl.SSLContext:
    """Always verifies; there is no way to say otherwise."""
    context = ssl.create_default_context(cafile=None if tls.root is None else str(tls.root))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if tls.cert is not None and tls.key is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


class Upstreams:
    def __init__(self) -> None:
        self._idle: dict[object, list[Upstream]] = {}
        self._open: set[Upstream] = set()
        self._idle_count = 0

    def __repr__(self) -> str:
        return f"<Upstreams {len(self._open)} open, {self._idle_count} idle>"

    def take(self, key: object, *, idle_since: float) -> Upstream | None:
        """The idle connection that was used last, if that was not before `idle_since`."""
        idle = self._idle.get(key)
        while idle:
            found = idle.pop()
            self._idle_count -= 1
            if found.is_open and found.idle_since >= idle_since:
                return found
            found.drop()
        return None

    def give_back(self, upstream: Upstream, now: float) -> None:
        upstream.user = None
        idle = self._idle.setdefault(upstream.key, [])
        if self._idle_count >= _MOST_IDLE or len(idle) >= _MOST_IDLE_PER_KEY:
            upstream.close()
            return
        upstream.was_used, upstream.idle_since = True, now
        upstream.resume()
        idle.append(upstream)
        self._idle_count += 1

    def forget(self, upstream: Upstream) -> None:
        self._open.discard(upstream)
        idle = self._idle.get(upstream.key)
        if idle is not None and upstream in idle:
            idle.remove(upstream)
            self._idle_count -= 1
        if not idle:
            self._idle.pop(upstream.key, None)

    def sweep(self, before: float) -> None:
        for idle in list(self._idle.values()):
            for each in [each for each in idle if each.idle_since < before]:
                each.close()
                self.forget(each)

    def close_of(self, caller: str) -> None:
        """Of a copy that is gone: its idle ones (those in use end with their client)."""
        for key in [key for key in self._idle if isinstance(key, tuple) and key[0] == caller]:
            for each in self._idle.pop(key):
                self._idle_count -= 1
                each.abort()

    def close(self) -> None:
        for each in list(self._open):
            each.abort()

    async def connect(
        self,
        key: object,
        addresses: Iterable[str],
        port: int,
        tls: ssl.SSLContext | None,
        hostname: str,
    ) -> Upstream:
        """To the first address that answers, within CONNECT_S. Raises Refusal."""
        loop = asyncio.get_running_loop()
        why = "no address"
        try:
            async with asyncio.timeout(CONNECT_S):
                for address in addresses:
                    upstream = Upstream(self, key)
                    try:
                        await loop.create_connection(lambda it=upstream: it, address, port)  # type: ignore[misc]
                        self._open.add(upstream)
                        if tls is not None:
                            await upstream.shake_hands(tls, hostname)
                    except ssl.SSLCertVerificationError as error:
                        raise Refusal(
                            Refused.UPSTREAM,
                            f"{hostname}: its certificate is not good: {error.verify_message}",
                        ) from error
                    except OSError as error:
                        why = _told(error)
                        upstream.drop()
                        continue
                    except BaseException:
                        upstream.drop()  # cancelled: nobody will use it
                        raise
                    return upstream
        except TimeoutError:
            why = f"no connection within {CONNECT_S:g} s"
        raise Refusal(Refused.UPSTREAM, f"{hostname}:{port}: {why}")


def _told(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}"
    return error.strerror or type(error).__name__
