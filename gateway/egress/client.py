"""A connection from an actor: who speaks, what is asked, by which of the four ways.

In the clear it takes absolute-form requests, base-URL requests and CONNECT; inside an opened
CONNECT, requests to the one host that was named. A head that is equal to the last one is decided
as the last one was, while nothing that the decision rests on has changed.
"""

import asyncio
import base64
import binascii
import re
import ssl
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from gateway.egress import deciding, hosts
from gateway.egress import plan as plans
from gateway.egress.ask import Ask, Fields, Way, fields_of
from gateway.egress.audit import Line, now_text
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Connect
from gateway.egress.exchange import Exchange
from gateway.egress.metering.usage import call_of
from gateway.egress.refusals import Answer, Refusal, Refused, answer_to
from gateway.egress.tunnel import Tunnel
from gateway.egress.wire import Wire
from gateway.ingress.codec.grammar import MAX_HEAD, Fault, Malformed, check_unfinished
from gateway.ingress.codec.request import (
    NO_FIELDS,
    RequestFields,
    RequestHead,
    scan_fields,
    scan_request,
)

if TYPE_CHECKING:
    from gateway.egress.config.model import Listener
    from gateway.egress.deciding import Forward, Opening
    from gateway.egress.parts import Known, Parts
    from gateway.egress.plan import Plan
    from gateway.egress.policies import Policy
    from gateway.egress.seams import Caller

_CONNECT = re.compile(rb"CONNECT ([\x21-\x7e]{1,300}) HTTP/1\.[01]")
_SCHEME = re.compile(rb"(?:\r\n){0,2}[^ \r\n]+ (?i:(https?))://")
_TOKEN = re.compile(rb"\r\n(?i:proxy-authorization):[ \t]*([^\r]*)")
_PATH_TOKEN = re.compile(r"/~([A-Za-z0-9._-]{1,200})(?=[/?]|\Z)")
"""Before the path of a base URL, for clients that know of no proxy: `http://host:port/~token`."""
_LONGEST_KEPT = 4096
"""Of a head that is remembered for other connections."""
_MOST_WAITING = 128 * 1024
"""Sent by an actor that does not wait for what it asked before."""


class Using(Protocol):
    def on_request(self, data: bytes) -> None: ...
    def on_request_end(self) -> None: ...
    def on_client_lost(self) -> None: ...
    def on_client_full(self, is_full: bool) -> None: ...
    def on_expired(self) -> None: ...
    def cut(self) -> None: ...


LINGER_S = 2.0
MOST_CONNECTIONS = 512
"""Of one copy of an actor: it must not use up the descriptors of all."""


class Lingering:
    """After a last word: what the actor still sends is read and dropped, for a moment."""

    def __init__(self, client: "ClientConnection") -> None:
        self._client = client

    def on_request(self, data: bytes) -> None:
        pass

    def on_request_end(self) -> None:
        self._client.abort()

    def on_client_lost(self) -> None:
        pass

    def on_client_full(self, is_full: bool) -> None:
        pass

    def on_expired(self) -> None:
        self._client.abort()

    def cut(self) -> None:
        self._client.abort()


class ClientConnection(Wire):
    def __init__(self, parts: "Parts", own: "Caller | None" = None) -> None:
        self._parts = parts
        self._own = own
        """Whose socket it came in by, where an actor has one of its own."""
        self.caller: Caller | None = own
        self.user: Using | None = None
        self.expires = 0.0
        self._buffer = b""
        self._is_deciding = False
        self._is_reading = False
        self._opening: Opening | None = None
        self._connect_fields: Fields = []
        self._known: RequestFields = NO_FIELDS
        self._last: Known | None = None
        self._token_block = b""
        self._peer = ("", 0)

    def __repr__(self) -> str:
        who = self.caller.actor.id if self.caller is not None else "nobody yet"
        return f"<ClientConnection of {who} {self.user!r}>"

    # Of the wire.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self._peer = (str(peer[0]), int(peer[1]))
        self.expires = self._parts.now + self._parts.budgets.head_s
        self._parts.connections.add(self)
        if self._own is not None:
            self._parts.open_by[self._own.key] += 1

    def on_data(self, data: bytes) -> None:
        if self.user is not None:
            self.user.on_request(data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._is_deciding:
            if len(self._buffer) > _MOST_WAITING:
                self.pause()
            return
        self._read()

    def on_end(self) -> None:
        if self.user is not None:
            self.user.on_request_end()
        elif not self._is_deciding:
            self.close()

    def on_lost(self, error: Exception | None) -> None:
        self._parts.connections.discard(self)
        if self.caller is not None:
            self._parts.leave(self.caller.key)
        user, self.user = self.user, None
        self._last = None
        if user is not None:
            user.on_client_lost()

    def on_full(self, is_full: bool) -> None:
        if self.user is not None:
            self.user.on_client_full(is_full)

    def on_tls_failed(self, error: ssl.SSLError) -> None:
        if self._opening is not None and self.caller is not None and self.user is None:
            self._note_refusal(
                Refusal(Refused.MISDIRECTED, f"TLS with the actor: {error.reason or 'failed'}"),
                "CONNECT",
                f"{self._opening.host}:{self._opening.port}",
            )
        self.abort()

    # Of its user.

    def hold(self, data: bytes) -> None:
        """The beginning of the next request, which came before this one was answered."""
        self._buffer += data
        if len(self._buffer) > _MOST_WAITING:
            self.pause()

    def become(self, tunnel: Tunnel) -> None:
        self.user = tunnel
        self.on_moved()
        if self._buffer:
            data, self._buffer = self._buffer, b""
            tunnel.on_request(data)

    def on_moved(self) -> None:
        self.expires = self._parts.now + self._parts.budgets.stream_idle_s

    def on_tunnel_end(self, bytes_out: int, bytes_in: int, why: str) -> None:
        self.user = None

    def on_answered(self, *, keep: bool) -> None:
        self.user = None
        if not keep:
            self.close()
            return
        self.resume()
        self.expires = self._parts.now + self._parts.budgets.idle_s
        if self._buffer and not self._is_reading:
            self._parts.loop.call_soon(self._read)

    def refuse(self, refusal: Refusal, *, close: bool, is_head: bool = False) -> None:
        """The whole answer to the request that is being read or was given up."""
        self.user = None
        self._say(answer_to(refusal), close=close, is_head=is_head)
        if not close:
            self.on_answered(keep=True)

    def _say(self, answer: Answer, *, close: bool, is_head: bool) -> None:
        self.write(answer.to_bytes(close=close, is_head=is_head))
        if not close:
            self.expires = self._parts.now + self._parts.budgets.idle_s
        elif self.is_open:
            self.finish_sending()
            self.user = Lingering(self)
            self.expires = self._parts.now + LINGER_S
            self.resume()

    def on_expired(self) -> None:
        if self.user is not None:
            due = getattr(self.user, "due", 0.0)
            if due > self._parts.now:
                self.expires = due  # it moved since
            else:
                self.user.on_expired()
        else:
            self.close()

    def cut(self) -> None:
        """Its actor is gone."""
        if self.user is not None:
            self.user.cut()
        self.abort()

    # Reading.

    def _read(self) -> None:
        """Requests, one after another, as long as they are answered at once."""
        if self._is_reading:
            return
        self._is_reading = True
        try:
            while self._buffer and self.user is None and not self._is_deciding and self.is_open:
                if not self._read_one():
                    break
        finally:
            self._is_reading = False

    def _read_one(self) -> bool:
        """False when more bytes are needed, or no more are wanted."""
        data, last = self._buffer, self._last or self._remembered()
        if last is not None and data.startswith(last[0]):
            raw, head, plan, policy = last
            if self._is_fresh(plan, policy):
                self._buffer = b""
                self._repeat(head, plan, policy, data[len(raw) :])
                return True
        try:
            if self._opening is None and data.startswith(b"CONNECT "):
                return self._read_connect(data)
            found = scan_request(data, self._known)
            if found is None:
                if _LETTERS.match(data) is None:
                    raise Malformed("not HTTP")
                return False
        except Malformed as error:
            self._refuse_malformed(error)
            return False
        self._known = found.fields
        self._buffer = data[found.size :]
        self._begin(data[: found.size], found)
        return True

    def _remembered(self) -> "Known | None":
        """What another connection of this actor to this host began with: clients that open one for
        each request ask the same things."""
        opening, caller = self._opening, self.caller
        end = self._buffer.find(b"\r\n\r\n") + 4
        if opening is None or caller is None or not 4 <= end <= _LONGEST_KEPT:
            return None
        return self._parts.plans.get((caller.key, opening.host, opening.port, self._buffer[:end]))

    def _is_fresh(self, plan: "Plan", policy: "Policy") -> bool:
        caller = self.caller
        return (
            caller is not None
            and plan.version == self._parts.secrets.version
            and self._parts.policies.of(caller.actor.policy) is policy
            and caller.is_here()
        )

    def _repeat(self, head: RequestHead, plan: "Plan", policy: "Policy", rest: bytes) -> None:
        try:
            if plan.forward.taken:
                plan.decider.take_again(plan.forward, self._parts.now)
        except Refusal as refusal:
            self._buffer = rest
            self._refuse_asked(refusal, plan.ask, head)
            return
        self._exchange(head, plan, policy, rest)

    def _exchange(self, head: RequestHead, plan: "Plan", policy: "Policy", rest: bytes) -> None:
        assert self.caller is not None
        self.user = exchange = Exchange(self, self._parts, self.caller, policy, plan, head)
        self.expires = exchange.due
        exchange.start(rest)

    # CONNECT.

    def _read_connect(self, data: bytes) -> bool:
        """Raises Malformed."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            check_unfinished(data)
            return False
        line_end = data.find(b"\r\n")
        match = _CONNECT.fullmatch(data, 0, line_end)
        if match is None or end > MAX_HEAD:
            raise Malformed("the request line is not `CONNECT host:port HTTP/1.1`")
        block = data[line_end:end]
        fields = scan_fields(block)
        if fields.has_body:
            raise Malformed("CONNECT with a body")
        self._buffer = data[end + 4 :]
        try:
            self._know_caller(block)
            host, port = hosts.split_port(match[1].decode("ascii"), 0)
            if not port:
                raise hosts.BadHost("CONNECT names a port")
            if fields.host and hosts.split_port(fields.host.decode("latin-1"), port)[0] != host:
                raise Refusal(Refused.MISDIRECTED, "Host is not what CONNECT names")
            self._connect(host, port, fields_of(block))
        except hosts.BadHost as error:
            refused = Refusal(Refused.INVALID, str(error))
            self._refuse_here(refused, "CONNECT", match[1].decode("ascii")[:80])
        except Refusal as refusal:
            self._refuse_here(refusal, "CONNECT", match[1].decode("ascii")[:80])
        return True

    def _connect(self, host: str, port: int, fields: Fields) -> None:
        ask = self._ask_of(Way.CONNECT, "https", host, port, "CONNECT", "/", fields)
        policy = self._policy()
        opening = deciding.connect(policy.document, ask)
        self._connect_fields = fields
        if opening.passed is not None:
            self._decide(self._pass(policy, opening, ask), "pass a CONNECT")
        elif not self._open_at_once(policy, opening, ask):
            self._decide(self._open(policy, opening, ask), "open a CONNECT")

    def _open_at_once(self, policy: "Policy", opening: "Opening", ask: Ask) -> bool:
        """False where a name has to be asked for, or a leaf to be made. Raises Refusal."""
        listener = opening.listener
        assert listener is not None
        if _is_all_dynamic(listener, ask.host):
            private = policy.document.private
            named = _is_named(listener, ask.host)
            if self._parts.names.known(ask.host, private=private, is_named=named) is None:
                return False
        context = policy.fixed_context(listener)
        authority = policy.authority(listener)
        if authority is not None:
            context = authority.ready_leaf(ask.host)
            if context is None:
                return False
        self._opened(opening, context)
        return True

    async def _open(self, policy: "Policy", opening: "Opening", ask: Ask) -> None:
        """A leaf first, then 200: what comes next is a handshake that must not wait for one."""
        listener = opening.listener
        assert listener is not None
        try:
            # Where every backend is where the actor says, its address is judged now, while it can
            # still be told by an HTTP answer.
            if _is_all_dynamic(listener, ask.host):
                await self._parts.names.reach(
                    ask.host,
                    private=policy.document.private,
                    is_named=_is_named(listener, ask.host),
                )
            context = policy.fixed_context(listener)
            authority = policy.authority(listener)
            if authority is not None:
                context = authority.ready_leaf(ask.host) or await authority.leaf(ask.host)
        except Refusal as refusal:
            self._decided()
            self._refuse_here(refusal, "CONNECT", f"{ask.host}:{ask.port}")
            return
        if not self.is_open:
            return
        self._opened(opening, context)
        self._decided()
        self._read()

    def _opened(self, opening: "Opening", context: ssl.SSLContext | None) -> None:
        self._opening = opening
        self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        early, self._buffer = self._buffer, b""
        self.expires = self._parts.now + self._parts.budgets.head_s
        if context is None:
            self._buffer = early
            return
        self.begin_tls(context, server=True)
        if early:
            self.data_received(early)

    async def _pass(self, policy: "Policy", opening: "Opening", ask: Ask) -> None:
        try:
            addresses = await self._parts.names.reach(
                opening.host, private=policy.document.private, is_named=opening.is_named
            )
            upstream = await self._parts.upstreams.connect(
                None, addresses, opening.port, None, opening.host
            )
        except Refusal as refusal:
            self._decided()
            self._refuse_here(refusal, "CONNECT", f"{ask.host}:{ask.port}")
            return
        caller = self.caller
        if not self.is_open or caller is None or not caller.is_here():
            upstream.drop()
            self.abort()
            return
        began = self._parts.loop_time()

        def ended(bytes_out: int, bytes_in: int, why: str) -> None:
            self.user = None
            line = self._line("fail" if why else "allow", ask.way, ask.method, why)
            to = f"{opening.host}:{opening.port}"
            ms = round((self._parts.loop_time() - began) * 1000, 1)
            self.note(
                policy,
                ask,
                _with(line, to=to, bytes_out=bytes_out, bytes_in=bytes_in, ms=ms, status=200),
            )

        self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        expected = None if policy.document.connect is not Connect.TUNNEL else ask.host
        tunnel = Tunnel(self, upstream, caller, ended=ended, expected=expected, moved=self.on_moved)
        self._is_deciding = False
        self.become(tunnel)
        self.resume()

    # Requests.

    def _begin(self, raw: bytes, head: RequestHead) -> None:
        ask: Ask | None = None
        try:
            ask = self._ask(raw, head)
            policy = self._policy()
            found = self._decided_on(policy, ask, head)
            if isinstance(found, Answer):
                self._answer(found, head, ask, policy)
                return
            upgrade = head.fields.upgrade.decode("latin-1") if not head.fields.has_body else ""
            if self._must_wait(policy, found, ask):
                self._decide(
                    self._decide_slowly(raw, head, ask, policy, found, upgrade), "decide slowly"
                )
                return
            self._start(raw, head, ask, policy, found, upgrade)
        except hosts.BadHost as error:
            self._refuse_asked(Refusal(Refused.INVALID, str(error)), ask, head)
        except Refusal as refusal:
            self._refuse_asked(refusal, ask, head)

    def _decided_on(self, policy: "Policy", ask: Ask, head: RequestHead) -> "Forward | Answer":
        """Raises Refusal."""
        siblings = self._parts.siblings
        if siblings is not None and self._opening is None and siblings.is_one(ask.host):
            assert self.caller is not None
            open_calls = sum(
                1
                for each in self._parts.connections
                if each.user is not None
                and each.caller is not None
                and each.caller.key == self.caller.key
            )
            named = head.fields.named
            return siblings.forward(ask, policy.document.actors, named, open_calls)
        listeners = self._listeners(policy, ask)
        return policy.decider.decide(ask, listeners, head.fields.named, self._parts.now)

    def _start(
        self,
        raw: bytes,
        head: RequestHead,
        ask: Ask,
        policy: "Policy",
        forward: "Forward",
        upgrade: str,
    ) -> None:
        assert self.caller is not None
        plan = plans.make(
            forward, ask, self._parts.secrets,
            caller=self.caller.key, decider=policy.decider, upgrade=upgrade,
        )  # fmt: skip
        if self._may_repeat(plan, policy, head):
            self._last = (raw, head, plan, policy)
            opening = self._opening
            if opening is not None and len(raw) <= _LONGEST_KEPT and not policy.sees_source:
                key = (self.caller.key, opening.host, opening.port, raw)
                self._parts.plans.keep(key, self._last)
        rest, self._buffer = self._buffer, b""
        self._exchange(head, plan, policy, rest)

    def _may_repeat(self, plan: "Plan", policy: "Policy", head: RequestHead) -> bool:
        """A decision that time, chance or a store has a part in is made anew for each request."""
        route = plan.forward.route
        return (
            plan.signs is None
            and not plan.forward.once
            and not plan.upgrade
            and len(route.backends) == 1
            and not route.delay_s
            and not (policy.document.budgets and _call(plan.ask))
            and head.size <= 16 * 1024
        )

    def _must_wait(self, policy: "Policy", forward: "Forward", ask: Ask) -> bool:
        return bool(
            forward.route.delay_s
            or (policy.document.budgets and _call(ask))
            or any(not self._parts.secrets.is_ready(each) for each in plans.needed(forward))
        )

    async def _decide_slowly(
        self,
        raw: bytes,
        head: RequestHead,
        ask: Ask,
        policy: "Policy",
        forward: "Forward",
        upgrade: str,
    ) -> None:
        refusal: Refusal | None = None
        try:
            if forward.route.delay_s:
                await asyncio.sleep(forward.route.delay_s)
            if policy.document.budgets and _call(ask):
                await self._parts.metering.check(policy.document, ask)
            await self._parts.secrets.ready(plans.needed(forward))
        except Refusal as error:
            refusal = error
        self._is_deciding = False
        # Meanwhile it may have left, or been suspended (then its connections were cut).
        if not self.is_open or self.caller is None or not self.caller.is_here():
            self.abort()
            return
        try:
            if refusal is not None:
                raise refusal
            self._start(raw, head, ask, policy, forward, upgrade)
            self.resume()
        except Refusal as error:
            self._refuse_asked(error, ask, head)
            self._read()

    def _ask(self, raw: bytes, head: RequestHead) -> Ask:
        """Raises Refusal, BadHost."""
        block = head.fields.block
        opening = self._opening
        if opening is not None:
            return self._ask_inside(opening, raw, head)
        target = head.target.decode()
        scheme = _SCHEME.match(raw)
        in_path = _PATH_TOKEN.match(target) if scheme is None else None
        self._know_caller(block, "" if in_path is None else in_path[1])
        if in_path is not None:
            target = target[in_path.end() :] or "/"
        if not head.fields.host:
            raise Refusal(Refused.INVALID, "a request without Host")
        if scheme is not None:
            kind = scheme[1].lower().decode()
            host, port = hosts.split_port(
                head.fields.host.decode("latin-1"), 443 if kind == "https" else 80
            )
            way = Way.BASE_URL if host == deciding.BASE_URL_HOST else Way.ABSOLUTE
        else:
            kind, way = "http", Way.BASE_URL
            host, port = hosts.split_port(head.fields.host.decode("latin-1"), 80)
        return self._ask_of(way, kind, host, port, head.method.decode(), target, fields_of(block))

    def _ask_inside(self, opening: "Opening", raw: bytes, head: RequestHead) -> Ask:
        scheme = "https" if self.tls is not None else "http"
        host, port = hosts.split_port(
            head.fields.host.decode("latin-1"), 443 if scheme == "https" else 80
        )
        # Some clients leave the port out of Host even where it is none of the defaults.
        is_bare = head.fields.host.rpartition(b":")[0] == b""
        if host != opening.host or (port != opening.port and not is_bare):
            raise Refusal(
                Refused.MISDIRECTED, f"CONNECT was for {opening.host}:{opening.port}, Host is not"
            )
        absolute = _SCHEME.match(raw)
        if absolute is not None and absolute[1].lower().decode() != scheme:
            raise Refusal(Refused.MISDIRECTED, "the target's scheme is not that of the tunnel")
        return self._ask_of(
            Way.INTERCEPTED,
            scheme,
            opening.host,
            opening.port,
            head.method.decode(),
            head.target.decode(),
            fields_of(head.fields.block),
        )

    def _ask_of(
        self, way: Way, scheme: str, host: str, port: int, method: str, target: str, fields: Fields
    ) -> Ask:
        assert self.caller is not None
        return Ask(
            actor=self.caller.actor,
            way=way,
            scheme=scheme,
            host=host,
            port=port,
            method=method,
            target=target,
            fields=fields,
            source=self._peer,
            connect_fields=self._connect_fields,
        )

    def _policy(self) -> "Policy":
        assert self.caller is not None
        if not self.caller.is_here():
            raise Refusal(Refused.BAD_IDENTITY, "this actor does not run here any more")
        policy = self._parts.policies.of(self.caller.actor.policy)
        if policy is None:
            raise deciding.no_policy(self.caller.actor)
        return policy

    def _listeners(self, policy: "Policy", ask: Ask) -> "list[Listener]":
        if self._opening is not None:
            listener = self._opening.listener
            assert listener is not None
            return [_current(policy, self._opening, listener, ask)]
        return policy.decider.listeners_for(ask)

    def _know_caller(self, block: bytes, in_path: str = "") -> None:
        """By the actor's own socket, else by its token. Raises Refusal."""
        if self.caller is not None and block == self._token_block and not in_path:
            return
        given = [_token_of(each) for each in _TOKEN.findall(block)]
        if in_path:
            given.append(in_path)
        if len(given) > 1:
            raise Refusal(Refused.BAD_IDENTITY, "more than one actor token")
        named = self._parts.callers.by_token(given[0]) if given else None
        if given and named is None:
            raise Refusal(Refused.BAD_IDENTITY, "it is none, or of an actor that was suspended")
        if self._own is not None:
            if named is not None and named.key != self._own.key:
                raise Refusal(Refused.FORBIDDEN, "this token is another actor's")
            named = self._own
        if named is None:
            raise Refusal(Refused.NO_IDENTITY, "use the proxy URL in HTTP_PROXY as it is")
        if self.caller is not None and named.key != self.caller.key:
            # One connection, one actor: what is remembered of it must not serve another.
            raise Refusal(Refused.FORBIDDEN, "this connection is another actor's")
        if self.caller is None:
            self._parts.open_by[named.key] += 1
        self.caller, self._token_block = named, block
        if self._parts.open_by[named.key] > MOST_CONNECTIONS:
            raise Refusal(Refused.RATE, f"more than {MOST_CONNECTIONS} connections are open")

    # Answers of ours.

    def _decide(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._is_deciding = True
        self._parts.spawn(work, name, self.abort)

    def _decided(self) -> None:
        self._is_deciding = False
        self.resume()

    def _answer(self, answer: Answer, head: RequestHead, ask: Ask, policy: "Policy") -> None:
        close = head.fields.has_body or not head.keeps_alive
        self._parts.metering.decisions["allow", ""] += 1
        line = self._line("allow", ask.way, ask.method, "answered by the policy")
        self.note(
            policy,
            ask,
            _with(line, to=f"{ask.host}:{ask.port}", path=ask.path[:500], status=answer.status),
        )
        self._say(answer, close=close, is_head=head.method == b"HEAD")

    def _refuse_asked(self, refusal: Refusal, ask: Ask | None, head: RequestHead) -> None:
        to = f"{ask.host}:{ask.port}" if ask is not None else ""
        path = ask.path[:500] if ask is not None else ""
        self._note_refusal(refusal, head.method.decode(), to, path=path)
        close = head.fields.has_body or not head.keeps_alive
        self._say(answer_to(refusal), close=close, is_head=head.method == b"HEAD")

    def _refuse_here(self, refusal: Refusal, method: str, to: str) -> None:
        """A CONNECT: the connection stays, so that a client may come again with its token."""
        self._note_refusal(refusal, method, to)
        self.write(answer_to(refusal).to_bytes(close=False))
        self.expires = self._parts.now + self._parts.budgets.idle_s
        if self._buffer and not self._is_reading:
            self._parts.loop.call_soon(self._read)

    def _refuse_malformed(self, error: Malformed) -> None:
        what = Refused.TOO_LARGE if error.fault is Fault.HEAD_TOO_LARGE else Refused.INVALID
        refusal = Refusal(what, error.message)
        self._note_refusal(refusal, "", "")
        self._say(answer_to(refusal), close=True, is_head=False)

    def _note_refusal(self, refusal: Refusal, method: str, to: str, *, path: str = "") -> None:
        decision = "fail" if refusal.what.status >= 500 else "deny"
        self._parts.metering.decisions[decision, refusal.what.name.lower()] += 1
        way = Way.CONNECT if method == "CONNECT" else ""
        line = self._line(decision, way, method, f"{refusal.what.words}: {refusal.reason}")
        self._parts.audit.note(_with(line, to=to, path=path, status=refusal.what.status))

    def _line(self, decision: str, way: str, method: str, reason: str) -> Line:
        return Line(
            at=now_text(),
            actor="" if self.caller is None else self.caller.actor.id,
            decision=decision,
            way=way,
            method=method,
            to="",
            reason=reason[:500],
        )

    def note(self, policy: "Policy", ask: Ask, line: Line) -> None:
        """With what the document wants of its access log; denials are always told."""
        wanted = policy.document.access_log
        if wanted.filter is not None or wanted.add or wanted.remove:
            more = {}
            try:
                if wanted.filter is not None and not wanted.filter.is_true(ask):
                    return
            except CelFailed:
                pass
            for name, expression in wanted.add:
                try:
                    more[name] = str(expression.compute(ask))[:200]
                except CelFailed:
                    continue
            blank = {name: "" for name in wanted.remove if name in ("path", "reason", "route")}
            line = _with(line, more=more, **blank)
        self._parts.audit.note(line)


_LETTERS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z\r-]")


def _with(line: Line, **more: object) -> Line:
    import msgspec

    return msgspec.structs.replace(line, **more)


def _call(ask: Ask) -> bool:
    return call_of(ask.method, ask.host, ask.path) is not None


def _token_of(value: bytes) -> str:
    """The password of Basic, else a Bearer."""
    scheme, _space, given = value.strip(b" \t").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip().decode("latin-1")
    if scheme.lower() != b"basic":
        return ""
    try:
        pair = base64.b64decode(given.strip(), validate=True)
    except binascii.Error:
        return ""
    return pair.partition(b":")[2].decode("latin-1")


def _is_all_dynamic(listener: "Listener", host: str) -> bool:
    routes = [each for each in listener.routes if hosts.covers(each.hostnames, host)]
    return bool(routes) and all(
        route.backends and all(each.host is None for each in route.backends) for route in routes
    )


def _is_named(listener: "Listener", host: str) -> bool:
    return any(deciding.names(route.hostnames, host) for route in listener.routes)


def _current(policy: "Policy", opening: "Opening", listener: "Listener", ask: Ask) -> "Listener":
    """The listener as the document has it now: a tunnel that stays open gets no old rules."""
    for bind in policy.document.binds:
        if listener in bind.listeners:
            return listener
    opened = deciding.connect(policy.document, ask)
    if opened.listener is None:
        raise Refusal(Refused.FORBIDDEN, f"{ask.host} is not opened any more: connect again")
    return opened.listener
