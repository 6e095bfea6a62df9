"""A connection from an actor: bytes become requests, one at a time and answered in their order.

It decides what belongs to which request and when to read; what a request asks for, whether it may,
and what happens to it are other files' (asked, opening, beginning, exchange).
"""

import asyncio
import re
import ssl
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gateway.egress import asked, beginning, hosts, opening, repeating, telling
from gateway.egress.conversation import LINGER_S, Lingering
from gateway.egress.exchange import Exchange
from gateway.egress.identity import Identity
from gateway.egress.refusals import Answer, Refusal, Refused, answer_to
from gateway.egress.wire import Wire
from gateway.ingress.codec.grammar import Fault, Malformed
from gateway.ingress.codec.request import NO_FIELDS, RequestFields, RequestHead, scan_request

if TYPE_CHECKING:
    from gateway.egress.ask import Ask, Fields
    from gateway.egress.connecting import Opening
    from gateway.egress.conversation import Conversation
    from gateway.egress.parts import Parts
    from gateway.egress.plan import Plan
    from gateway.egress.policies import Policy
    from gateway.egress.repeating import Known
    from gateway.egress.seams import Caller
    from gateway.egress.tunnel import Tunnel

_MOST_WAITING = 128 * 1024
"""Sent by an actor that does not wait for what it asked before."""
_LETTERS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z\r-]")


class ClientConnection(Wire):
    direct_port = 0
    """That a program called which knows of no proxy; 0: this one does."""

    def __init__(self, parts: "Parts", own: "Caller | None" = None) -> None:
        """`own`: whose socket it came in by, where an actor has one of its own."""
        self.parts = parts
        self.who = Identity(parts, own)
        self.user: Conversation | None = None
        self.expires = 0.0
        self.opening: Opening | None = None
        """The CONNECT that it became."""
        self.connect_fields: Fields = []
        self.last: Known | None = None
        self.peer = ("", 0)
        self._buffer = b""
        self._is_deciding = False
        self._is_reading = False
        self._known: RequestFields = NO_FIELDS

    def __repr__(self) -> str:
        return f"<ClientConnection of {self.who!r} {self.user!r}>"

    @property
    def caller(self) -> "Caller | None":
        return self.who.caller

    # Of the wire.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (str(peer[0]), int(peer[1]))
        self.expires = self.parts.now + self.parts.budgets.head_s
        self.parts.connections.add(self)
        self.who.arrive()

    def on_data(self, data: bytes) -> None:
        if self.user is not None:
            self.user.on_request(data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self._is_deciding:
            if len(self._buffer) > _MOST_WAITING:
                self.pause()
            return
        self.read()

    def on_end(self) -> None:
        if self.user is not None:
            self.user.on_request_end()
        elif not self._is_deciding:
            self.close()

    def on_lost(self, error: Exception | None) -> None:
        self.parts.connections.discard(self)
        self.who.leave()
        user, self.user = self.user, None
        self.last = None
        if user is not None:
            user.on_client_lost()

    def on_full(self, is_full: bool) -> None:
        if self.user is not None:
            self.user.on_client_full(is_full)

    def on_tls_failed(self, error: ssl.SSLError) -> None:
        if self.opening is not None and self.caller is not None and self.user is None:
            refusal = Refusal(
                Refused.MISDIRECTED, f"TLS with the actor: {error.reason or 'failed'}"
            )
            to = f"{self.opening.host}:{self.opening.port}"
            telling.refused(self.parts, self.caller, refusal, "CONNECT", to)
        self.abort()

    # Reading.

    def read(self) -> None:
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
        data, last = self._buffer, self.last or self._remembered()
        if last is not None and data.startswith(last[0]):
            raw, head, plan, policy = last
            if repeating.is_fresh(self.parts, self.who.caller, plan, policy):
                self._buffer = b""
                self._repeat(head, plan, policy, data[len(raw) :])
                return True
        try:
            if self.opening is None and data.startswith(b"CONNECT "):
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
        beginning.begin(self, data[: found.size], found)
        return True

    def _remembered(self) -> "Known | None":
        if self.opening is None or self.who.caller is None:
            return None
        return self.parts.plans.of(self.who.caller, self.opening, self._buffer)

    def _repeat(self, head: RequestHead, plan: "Plan", policy: "Policy", rest: bytes) -> None:
        try:
            if plan.forward.taken:
                plan.decider.take_again(plan.forward, self.parts.now)
        except Refusal as refusal:
            self._buffer = rest
            self.refuse_asked(refusal, plan.ask, head)
            return
        self.exchange(head, plan, policy, rest)

    def exchange(self, head: RequestHead, plan: "Plan", policy: "Policy", rest: bytes) -> None:
        caller = self.who.caller
        assert caller is not None
        self.user = exchange = Exchange(self, self.parts, caller, policy, plan, head)
        self.expires = exchange.due
        exchange.start(rest)

    def _read_connect(self, data: bytes) -> bool:
        """Raises Malformed."""
        head = asked.scan_connect(data)
        if head is None:
            return False
        self._buffer = data[head.size :]
        try:
            self.who.learn(head.block)
            host, port = head.where()
            self.connect(host, port, head.block)
        except hosts.BadHost as error:
            self.refuse_connect(Refusal(Refused.INVALID, str(error)), head.authority[:80])
        except Refusal as refusal:
            self.refuse_connect(refusal, head.authority[:80])
        return True

    def connect(self, host: str, port: int, block: bytes) -> None:
        """Raises Refusal."""
        ask = beginning.connect_ask(self, host, port, block)
        policy = beginning.policy_of(self.parts, self.caller)
        opening.connect(self, policy, ask)

    def establish(self) -> None:
        """Before the first byte of what a CONNECT became."""
        self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def decide(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """What must be waited for; until `decided` nothing more is read of it."""
        self._is_deciding = True
        self.parts.spawn(work, name, self.abort)

    def decided(self, *, resume: bool = True) -> None:
        self._is_deciding = False
        if resume:
            self.resume()

    @property
    def ahead(self) -> bytes:
        """What was read and belongs to nobody yet."""
        return self._buffer

    def take_buffer(self) -> bytes:
        """What came after the head."""
        data, self._buffer = self._buffer, b""
        return data

    def put_back(self, data: bytes) -> None:
        """What was taken, to be read again."""
        self._buffer = data

    # Of its user.

    def hold(self, data: bytes) -> None:
        """The beginning of the next request, which came before this one was answered."""
        self._buffer += data
        if len(self._buffer) > _MOST_WAITING:
            self.pause()

    def become(self, tunnel: "Tunnel") -> None:
        self.user = tunnel
        self.on_moved()
        if self._buffer:
            tunnel.on_request(self.take_buffer())

    def on_moved(self) -> None:
        self.expires = self.parts.now + self.parts.budgets.stream_idle_s

    def on_tunnel_end(self, bytes_out: int, bytes_in: int, why: str) -> None:
        self.user = None

    def on_answered(self, *, keep: bool) -> None:
        self.user = None
        if not keep:
            self.close()
            return
        self.resume()
        self._expect_request()

    def on_expired(self) -> None:
        if self.user is not None:
            due = getattr(self.user, "due", 0.0)
            if due > self.parts.now:
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

    # Answers of ours.

    def answer(self, answer: Answer, head: RequestHead, ask: "Ask", policy: "Policy") -> None:
        self.parts.metering.decisions["allow", ""] += 1
        line = telling.line_of(
            self.caller, "allow", way=ask.way, method=ask.method, to=f"{ask.host}:{ask.port}",
            path=ask.path, reason="answered by the policy", status=answer.status,
        )  # fmt: skip
        telling.note(self.parts, policy, ask, line)
        self._say_to(head, answer)

    def refuse(self, refusal: Refusal, *, close: bool, is_head: bool = False) -> None:
        """The whole answer to the request that was given up."""
        self.user = None
        self._say(answer_to(refusal), close=close, is_head=is_head)
        if not close:
            self.on_answered(keep=True)

    def refuse_asked(self, refusal: Refusal, ask: "Ask | None", head: RequestHead) -> None:
        """One that never became an exchange."""
        to, path = (f"{ask.host}:{ask.port}", ask.path) if ask is not None else ("", "")
        telling.refused(self.parts, self.caller, refusal, head.method.decode(), to, path=path)
        self._say_to(head, answer_to(refusal))

    def refuse_connect(self, refusal: Refusal, to: str) -> None:
        """The connection stays, so that a client may come again with its token."""
        telling.refused(self.parts, self.caller, refusal, "CONNECT", to)
        self.write(answer_to(refusal).to_bytes(close=False))
        self._expect_request()

    def _refuse_malformed(self, error: Malformed) -> None:
        what = Refused.TOO_LARGE if error.fault is Fault.HEAD_TOO_LARGE else Refused.INVALID
        refusal = Refusal(what, error.message)
        telling.refused(self.parts, self.caller, refusal, "", "")
        self._say(answer_to(refusal), close=True, is_head=False)

    def _say_to(self, head: RequestHead, answer: Answer) -> None:
        close = head.fields.has_body or not head.keeps_alive
        self._say(answer, close=close, is_head=head.method == b"HEAD")

    def _say(self, answer: Answer, *, close: bool, is_head: bool) -> None:
        self.write(answer.to_bytes(close=close, is_head=is_head))
        if not close:
            self.expires = self.parts.now + self.parts.budgets.idle_s
        else:
            self.linger()

    def linger(self) -> None:
        """Our last word is written."""
        if self.is_open:
            self.finish_sending()
            self.user = Lingering(self)
            self.expires = self.parts.now + LINGER_S
            self.resume()

    def _expect_request(self) -> None:
        self.expires = self.parts.now + self.parts.budgets.idle_s
        if self._buffer and not self._is_reading:
            self.parts.loop.call_soon(self.read)
