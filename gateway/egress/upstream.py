"""Connections to the outside: one exchange at a time each, kept for the same copy of an actor.

Never shared between actors: what one of them left in a connection must not meet another's request.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.egress.config.model import NO_TCP, SYSTEM_TLS, BackendTls, Tcp
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.wire import Wire

if TYPE_CHECKING:
    from gateway.ingress.codec.response import AnswerHead

IDLE_S = 30.0
FRESH_S = 4.0
"""A request that can't be repeated takes only a connection idle for less than this."""
CONNECT_S = 10.0
_MOST_IDLE = 512
_MOST_HTTP2 = 1024
"""Servers of which we remember that they speak nothing else."""
_SETTINGS = b"\x04\x00\x00\x00\x00\x00"
"""From the fourth byte of the first frame of HTTP/2 (RFC 9113, sections 3.4 and 4.1)."""
_MOST_IDLE_PER_KEY = 32
_LONGEST_GRANT = 8 * 1024
_GRANTED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9](?: |\r|\Z)")


class Using(Protocol):
    """Who uses a connection: an exchange, or the tunnel that it became."""

    def on_answer(self, data: bytes) -> None: ...
    def on_answer_end(self) -> None: ...
    def on_upstream_lost(self) -> None: ...
    def on_upstream_full(self, is_full: bool) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a server is connected to."""

    tcp: Tcp = NO_TCP
    names: tuple[str, ...] = ()
    """Its certificate has to be for one of these; empty: for its own name."""
    unix: str | None = None
    """A socket in the file system that is connected to in its place."""
    http2: bool = False
    """What is tried first."""
    proxy: tuple[str, int] | None = None
    """What is connected to in its place."""
    tunnel: bytes = b""
    """What the proxy is asked before anything else."""


STRAIGHT = Way()


class WrongProtocol(OSError):
    """The server does not speak what was offered."""


class Upstream(Wire):
    protocol = "http/1.1"
    chosen: tuple[str | None, ...] = ("http/1.1", None)
    """What a server may answer to that offer; None: it knows no ALPN."""
    where = ("", 0)
    """The server's name and port."""
    granted: bytes | None = None
    """What a proxy answered so far; None: nothing is awaited of one."""
    failure: Refusal | None = None
    """Why it was lost, where it could tell."""
    is_untouched = False
    """It was lost, and what was sent over it was never looked at: it may be sent again."""

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
            self.is_greeting(data)
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

    @property
    def is_reusable(self) -> bool:
        return self.is_open

    def is_greeting(self, data: bytes) -> bool:
        """Did a server speak HTTP/2, though it was not asked to? It read nothing of ours then."""
        is_one = data.startswith(_SETTINGS, 3) and self.tls is not None
        if is_one:
            self.is_untouched = True
            self._home.prefer_http2(self.where, True)
        return is_one

    def data_received(self, data: bytes) -> None:
        if self.granted is None:
            super().data_received(data)
            return
        self.granted += data
        head, end, rest = self.granted.partition(b"\r\n\r\n")
        if not end and len(head) <= _LONGEST_GRANT:
            return
        self.granted = None
        if self._ready is None or self._ready.done():
            return
        if end and not rest and _GRANTED.match(head) is not None:
            self._ready.set_result(None)
        else:
            told = head[9:12].decode("latin-1") if head.startswith(b"HTTP/1.") else "no HTTP"
            self._ready.set_exception(ConnectionRefusedError(0, f"the proxy answered {told}"))

    async def open_tunnel(self, request: bytes) -> None:
        """Raises OSError."""
        self._ready = asyncio.get_running_loop().create_future()
        self.granted = b""
        self.write(request)
        await self._ready

    async def shake_hands(self, context: ssl.SSLContext, hostname: str) -> None:
        """Raises OSError (ssl.SSLError and WrongProtocol are some)."""
        self._ready = asyncio.get_running_loop().create_future()
        # A connection copies what its context says at this moment.
        context.set_alpn_protocols([self.protocol])
        self.begin_tls(context, server=False, hostname=hostname)
        try:
            await self._ready
        except ssl.SSLError as error:
            # Python has no name for this alert (120) before 3.13: the text is OpenSSL's.
            if "no application protocol" in str(error).lower().replace("_", " "):
                raise WrongProtocol(f"it does not speak {self.protocol}") from error
            raise
        assert self.tls is not None
        if self.tls.protocol not in self.chosen:
            raise WrongProtocol(f"it does not speak {self.protocol}")

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
    if tls.group is not None:
        context.set_ecdh_curve(tls.group)
    if tls.alt_names:
        context.check_hostname = False  # they are looked for once the chain is verified
    if tls.cert is not None and tls.key is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


class Upstreams:
    def __init__(self) -> None:
        self._idle: dict[object, list[Upstream]] = {}
        self._open: set[Upstream] = set()
        self._idle_count = 0
        self._http2: dict[tuple[str, int], None] = {}
        """Servers that speak nothing else, the latest last."""

    def __repr__(self) -> str:
        return f"<Upstreams {len(self._open)} open, {self._idle_count} idle>"

    def take(self, key: object, *, idle_since: float) -> Upstream | None:
        """The idle connection that was used last, if that was not before `idle_since`."""
        idle = self._idle.get(key)
        while idle:
            found = idle.pop()
            self._idle_count -= 1
            if found.is_reusable and found.idle_since >= idle_since:
                return found
            found.drop()
        return None

    def give_back(self, upstream: Upstream, now: float) -> None:
        upstream.user = None
        idle = self._idle.setdefault(upstream.key, [])
        if not upstream.is_reusable:
            upstream.close()
            return
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
        way: Way = STRAIGHT,
    ) -> Upstream:
        """To the first address that answers, within CONNECT_S or what its policy says. Raises
        Refusal."""
        where, budget_s = (hostname, port), way.tcp.connect_timeout_s or CONNECT_S
        if way.http2 and tls is not None:
            self.prefer_http2(where, True)
        try:
            async with asyncio.timeout(budget_s):
                try:
                    return await self._reach(key, addresses, where, tls, way)
                except WrongProtocol:
                    # HTTP/1.1 is asked for alone, since most servers that speak both would choose
                    # HTTP/2, which costs us more; it is the other way round once they had none.
                    self.prefer_http2(where, where not in self._http2)
                    return await self._reach(key, addresses, where, tls, way)
        except TimeoutError:
            why = f"no connection within {budget_s:g} s"
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not good: {error.verify_message}"
        except OSError as error:
            why = _told(error)
        raise Refusal(Refused.UPSTREAM, f"{hostname}:{port}: {why}")

    async def _reach(
        self,
        key: object,
        addresses: Iterable[str],
        where: tuple[str, int],
        tls: ssl.SSLContext | None,
        way: Way,
    ) -> Upstream:
        """Raises OSError: of the last address; but what one says of its name or of protocols is
        said for all."""
        loop = asyncio.get_running_loop()
        failed = OSError(0, "no address")
        port = where[1] if way.proxy is None else way.proxy[1]
        for address in addresses:
            upstream = self._make(key, where, tls)
            try:
                if way.unix is not None:
                    await loop.create_unix_connection(lambda it=upstream: it, way.unix)  # type: ignore[misc]
                else:
                    await loop.create_connection(lambda it=upstream: it, address, port)  # type: ignore[misc]
                if upstream.is_lost:
                    raise ConnectionResetError(0, "closed at once")
                self._open.add(upstream)
                _probe(upstream, way.tcp)
                if way.tunnel:
                    await upstream.open_tunnel(way.tunnel)
                if tls is not None:
                    await upstream.shake_hands(tls, where[0])
                    _check_names(upstream, way.names)
            except (ssl.SSLCertVerificationError, WrongProtocol):
                upstream.drop()
                raise
            except OSError as error:
                failed = error
                upstream.drop()
                continue
            except BaseException:
                upstream.drop()  # cancelled: nobody will use it
                raise
            return upstream
        raise failed

    def _make(self, key: object, where: tuple[str, int], tls: ssl.SSLContext | None) -> Upstream:
        if tls is not None and where in self._http2:
            from gateway.egress.http2 import Http2Upstream  # which is an Upstream

            made: Upstream = Http2Upstream(self, key)
        else:
            made = Upstream(self, key)
        made.where = where
        return made

    def prefer_http2(self, where: tuple[str, int], is_so: bool) -> None:
        self._http2.pop(where, None)
        if is_so:
            self._http2[where] = None
            if len(self._http2) > _MOST_HTTP2:
                del self._http2[next(iter(self._http2))]


def _probe(upstream: Upstream, tcp: Tcp) -> None:
    transport = upstream.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if tcp.keepalive is None or sock is None or sock.family == socket.AF_UNIX:
        return
    idle_s, every_s, most = tcp.keepalive
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("IDLE", idle_s), ("INTVL", every_s), ("CNT", most)):
        option = getattr(socket, f"TCP_KEEP{name}", None)
        if option is not None:  # macOS has another name for the first
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _check_names(upstream: Upstream, names: tuple[str, ...]) -> None:
    """Raises ssl.SSLCertVerificationError. The chain was verified in the handshake."""
    if not names:
        return
    found = upstream.tls.certificate if upstream.tls is not None else {}
    given = {str(value).lower() for _kind, value in found.get("subjectAltName", ())}
    if given.isdisjoint(name.lower() for name in names):
        error = ssl.SSLCertVerificationError("no name of it is one of subjectAltNames")
        error.verify_message = "no name of it is one of subjectAltNames"
        raise error


def _told(error: OSError) -> str:
    if isinstance(error, WrongProtocol):
        return "it speaks neither HTTP/1.1 nor HTTP/2"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'failed'}"
    return error.strerror or type(error).__name__
