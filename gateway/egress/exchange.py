"""One request and its answer: body out, answer back, both as they come, and what is said of it.

Everything that may end it (answer, either side lost, time, a cut) comes through `_end`, once.
"""

import asyncio
import re
from typing import TYPE_CHECKING

from gateway.egress import heads, retrying
from gateway.egress import plan as plans
from gateway.egress.account import Account
from gateway.egress.ask import fields_of
from gateway.egress.dialing import dial
from gateway.egress.outgoing import Outgoing
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.tunnel import Tunnel
from gateway.egress.upstream import FRESH_S, IDLE_S
from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody, UntilClose
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.response import AnswerHead, Framing, scan_answer

if TYPE_CHECKING:
    from gateway.egress.client import ClientConnection
    from gateway.egress.parts import Parts
    from gateway.egress.plan import Plan
    from gateway.egress.policies import Policy
    from gateway.egress.seams import Caller
    from gateway.egress.upstream import Upstream
    from gateway.ingress.codec.request import RequestHead

_CHUNKING = re.compile(rb"\r\ntransfer-encoding:[^\r]*")
_BROKEN = "the connection was closed before the answer's end"
_WAITING = 256 * 1024
"""Of a body, before there is a connection to send it to."""


class Exchange:
    """Holds the actor awake from `start` to its end."""

    def __init__(
        self,
        client: "ClientConnection",
        parts: "Parts",
        caller: "Caller",
        policy: "Policy",
        plan: "Plan",
        head: "RequestHead",
    ) -> None:
        self._client = client
        self._parts = parts
        self._caller = caller
        self._policy = policy
        self._plan = plan
        self._method = head.method
        self._minor = head.minor
        self._keeps_alive = head.keeps_alive
        fields = head.fields
        self._body: Body = NO_BODY
        if plan.body is not None:
            pass  # it was read for the decision, and what goes on is known
        elif fields.chunked:
            self._body = ChunkedBody()
        elif fields.length:
            self._body = LengthBody(fields.length)
        self._expects_continue = fields.expects_continue and head.minor == 1
        self._upstream: Upstream | None = None
        self._out = Outgoing(plan.head)
        self._held = b""
        """An answer's head that is not whole."""
        self._answer: AnswerHead | None = None
        self._answer_body: Body = NO_BODY
        self._dechunks = False
        self._is_ended = False
        self._account = Account(parts, policy, plan)
        self._due = self._budget()
        caller.begin_call()

    def __repr__(self) -> str:
        state = "answered" if self._answer is not None else "sent" if self._upstream else "waiting"
        return f"<Exchange {self._plan.ask.host} {state}>"

    # The way out.

    def start(self, first: bytes) -> None:
        """`first`: what of the body (and perhaps of the next request) came with the head."""
        if self._expects_continue and not self._body.is_done and not first:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._plan.head:
            self._send(self._plan.head + (self._plan.body or b""))
        if first or self._body.is_done:
            self.on_request(first)
        if self._is_ended or self._upstream is not None:
            return
        idle_since = self._parts.now - (IDLE_S if self._plan.is_repeatable else FRESH_S)
        upstream = self._parts.upstreams.take(self._plan.key, idle_since=idle_since)
        if upstream is not None:
            self._go(upstream)
        else:
            self._parts.spawn(self._connect(), "connect for an actor", self._client.abort)

    def on_request(self, data: bytes) -> None:
        body = self._body
        try:
            end = body.feed(data, 0)
        except Malformed as error:
            self.fail(Refusal(Refused.INVALID, error.message))
            return
        if end:
            self._account.bytes_out += end
            self._send(data if end == len(data) else data[:end])
        if body.is_done:
            if not self._plan.head:
                self._sign()
            if end < len(data):
                self._client.hold(data[end:])

    def _sign(self) -> None:
        """The whole body is here: the head can be made, with a signature over it."""
        body = self._out.body
        try:
            head = plans.head_of(self._plan, body, self._parts.secrets)
        except Refusal as error:
            self.fail(error)
            return
        self._plan.head = head
        self._out.signed(head)
        if self._upstream is not None:
            self._go(self._upstream)

    def _send(self, data: bytes) -> None:
        if self._upstream is not None and self._plan.head:
            self._out.keep(data)
            self._upstream.write(data)
            self._due = self._budget()
            return
        self._out.wait(data)
        if not self._plan.head:
            if self._out.size > plans.LARGEST_SIGNED or isinstance(self._body, ChunkedBody):
                self.fail(
                    Refusal(Refused.INVALID, "a body to be signed has a length, of 1 MiB at most")
                )
        elif self._out.size > _WAITING:
            self._client.pause()

    async def _connect(self) -> None:
        plan, forward = self._plan, self._plan.forward
        try:
            upstream = await dial(
                self._parts, self._policy, forward.backend, plan.way, key=plan.key,
                host=forward.host, port=forward.port, tls=forward.tls, is_named=forward.is_named,
            )  # fmt: skip
        except Refusal as error:
            self.fail(error)
            return
        if self._is_ended or not self._caller.is_here():
            upstream.drop()  # the actor gave up, or was suspended, while we connected
            self.fail(Refusal(Refused.STOPPING, "the actor is not here any more"))
            return
        self._go(upstream)

    def _go(self, upstream: "Upstream") -> None:
        self._upstream = upstream
        upstream.user = self
        if upstream.is_lost:
            self.on_upstream_lost()  # as soon as it was there
            return
        if not self._plan.head:
            return
        upstream.write(self._out.take())
        if self._upstream is not upstream:
            return  # it could not say this
        self._client.resume()
        forward = self._plan.forward
        timeout = forward.backend.timeout_s or forward.route.backend_timeout_s
        if timeout is not None:
            self._due = min(self._due, self._parts.loop_time() + timeout)
            self._client.expires = self._due

    # The way back.

    def on_answer(self, data: bytes) -> None:
        start, out = 0, b""
        if self._answer is None:
            if self._held:
                data, self._held = self._held + data, b""
            try:
                found = self._read_head(data)
            except Malformed:
                if self._upstream is not None and self._upstream.is_greeting(data):
                    self.on_upstream_lost()
                else:
                    self.fail(Refusal(Refused.BAD_ANSWER, "the head of the answer is malformed"))
                return
            if found is None:
                return
            start, out = found
        body = self._answer_body
        try:
            end = body.feed(data, start)
        except Malformed:
            self.fail(Refusal(Refused.BAD_ANSWER, "the body of the answer is malformed"))
            return
        self._account.bytes_in += end - start
        piece = data[start:end] if start or end < len(data) else data
        tap = self._account.tap
        if tap is not None or self._dechunks:
            inner = body.take_data() if isinstance(body, ChunkedBody) else piece
            if tap is not None:
                tap.feed(inner)
            if self._dechunks:
                piece = inner
        if out or piece:
            if body.is_done and not (self._keeps_alive and self._body.is_done):
                self._client.write_last(out + piece)
            else:
                self._client.write(out + piece if out else piece)
        self._due = self._parts.now + self._parts.budgets.stream_idle_s
        if body.is_done and not self._is_ended:
            self._finish(is_clean=end == len(data))

    def _read_head(self, data: bytes) -> tuple[int, bytes] | None:
        """(where the body begins, what the actor gets for the head)."""
        upstream = self._upstream
        assert upstream is not None
        at = 0
        while True:
            rest = data[at:] if at else data
            head = scan_answer(rest, upstream.last_answer)
            if head is None:
                self._held = rest
                return None
            at += len(head.raw)
            if head.status == 101:
                self._become_tunnel(head, data[at:])
                return None
            if head.status >= 200:
                break
            if head.status != 100 and self._minor:
                self._client.write(head.raw)  # 103 and its like
        upstream.last_answer = head
        self._report(head)
        if self._out.may_try_again(self._plan) and self._is_retried(head):
            self._try_again()
            return None
        self._answer = head
        return at, self._answered(head, upstream)

    def _answered(self, head: AnswerHead, upstream: "Upstream") -> bytes:
        framing = head.framing(self._method)
        if framing is Framing.LENGTH:
            self._answer_body = LengthBody(head.length or 0)
        elif framing is Framing.CHUNKED:
            self._dechunks = not self._minor  # RFC 9112, section 6.1: HTTP/1.0 knows no chunks
            spans = self._account.call is not None or self._dechunks
            self._answer_body = ChunkedBody(with_spans=spans)
        elif framing is Framing.UNTIL_CLOSE:
            self._answer_body = UntilClose()
        if framing is Framing.UNTIL_CLOSE or (framing is Framing.CHUNKED and not self._minor):
            self._keeps_alive = False
        forward = self._plan.forward
        edits, answered = forward.edits, forward.answered
        cached = upstream.last_edited
        if cached is not None and cached[0] is head and cached[1] == edits and not answered:
            block = cached[2]
        else:
            if answered:
                seen = {"code": head.status, "headers": dict(fields_of(head.block))}
                self._plan.ask.said["response"] = seen
            block = heads.answer_block(head.block, head.named, edits, answered, self._plan.ask)
            upstream.last_edited = (head, edits, block)
        if self._dechunks:
            block = _CHUNKING.sub(b"", block)
        if head.status == 200:
            self._account.listen(head)
        if self._keeps_alive and self._body.is_done:
            if self._minor:
                return b"HTTP/1.1 %b%b\r\n\r\n" % (head.line, block)
            return b"HTTP/1.1 %b%b\r\nconnection: keep-alive\r\n\r\n" % (head.line, block)
        self._keeps_alive = False
        return b"HTTP/1.1 %b%b\r\nconnection: close\r\n\r\n" % (head.line, block)

    def _become_tunnel(self, head: AnswerHead, rest: bytes) -> None:
        if not self._plan.upgrade or not self._body.is_done:
            self.fail(Refusal(Refused.UPGRADE, "nobody asked for another protocol"))
            return
        upstream = self._upstream
        assert upstream is not None
        self._upstream = None
        self._is_ended = True
        self._caller.end_call()
        self._plan.ask.let_go()
        self._account.close("allow", 101, "")
        block = heads.answer_block(head.block, head.named, (), (), self._plan.ask)
        self._client.write(
            b"HTTP/1.1 %b%b\r\nconnection: upgrade\r\nupgrade: %b\r\n\r\n"
            % (head.line, block, head.upgrade)
        )
        tunnel = Tunnel(
            self._client, upstream, self._caller, ended=self._client.on_tunnel_end,
            moved=self._client.on_moved,
        )  # fmt: skip
        self._client.become(tunnel)
        if rest:
            tunnel.on_answer(rest)

    def on_answer_end(self) -> None:
        if self._answer is not None and self._answer_body.ends_with_connection():
            self._finish(is_clean=False)
        else:
            self.on_upstream_lost()

    def on_upstream_lost(self) -> None:
        upstream, self._upstream = self._upstream, None
        if self._is_ended:
            return
        if upstream is not None:
            upstream.drop()
        # Closed by the server while it was kept, or unread: nothing was answered, so once more.
        may_repeat = upstream is not None and (
            upstream.is_untouched or (upstream.was_used and self._plan.is_repeatable)
        )
        if may_repeat and self._answer is None and not self._held and self._out.is_kept:
            self._out.repeat()
            self._parts.spawn(self._connect(), "connect again for an actor", self._client.abort)
            return
        why = upstream.failure if upstream is not None else None
        self.fail(why or Refusal(Refused.UPSTREAM, _BROKEN))

    # Once more.

    def _report(self, head: AnswerHead | None) -> None:
        """To who knows which backends of a group are well."""
        forward = self._plan.forward
        if forward.backend.groups or (forward.onward and forward.onward.backend.groups):
            status, wait = 0, None
            if head is not None:
                status, wait = head.status, dict(fields_of(head.block)).get("retry-after")
            self._plan.decider.answered(forward, status, wait, self._parts.loop_time())

    def _is_retried(self, head: AnswerHead) -> bool:
        retry = self._plan.forward.retry
        return retry is not None and retrying.on_answer(retry, self._plan.ask, head)

    def _try_again(self) -> None:
        self._close_upstream()
        self._out.rewind(self._plan)
        self._held = b""
        self._due = self._budget()
        self._client.expires = self._due
        self._parts.spawn(self._connect_again(), "try again for an actor", self._client.abort)

    async def _connect_again(self) -> None:
        retry = self._plan.forward.retry
        assert retry is not None
        if retry.backoff_s:
            await asyncio.sleep(retry.backoff_s)
        try:
            plan = await plans.again(self._plan, self._parts, self._caller.key)
        except Refusal as error:
            self.fail(error)
            return
        if self._is_ended:
            return  # it gave up while we waited
        self._plan = plan
        self._account.use(plan)
        self._out.restart(plan)
        await self._connect()

    def on_upstream_full(self, is_full: bool) -> None:
        if is_full:
            self._client.pause()
        else:
            self._client.resume()

    def on_client_full(self, is_full: bool) -> None:
        if self._upstream is not None:
            if is_full:
                self._upstream.pause()
            else:
                self._upstream.resume()

    # Ends.

    def on_request_end(self) -> None:
        """The actor is gone: whoever ends its side while it waits for an answer has given up, and
        what it asked for may cost money."""
        self.on_client_lost()
        self._client.abort()

    def on_client_lost(self) -> None:
        self._close_upstream()
        self._end("fail", 0, "the actor left")

    def cut(self) -> None:
        self.fail(Refusal(Refused.STOPPING, "the actor is being suspended"))

    def on_expired(self) -> None:
        route = self._plan.forward.route
        if self._answer is not None:
            self.fail(Refusal(Refused.TIMEOUT, "nothing moved for too long"))
        elif route.request_timeout_s is not None and (
            self._parts.now >= self._account.began + route.request_timeout_s
        ):
            self.fail(Refusal(Refused.TIMEOUT, f"no answer in {route.request_timeout_s:g} s"))
        else:
            self.fail(Refusal(Refused.BACKEND_TIMEOUT, "the other side did not answer in time"))

    @property
    def due(self) -> float:
        return self._due

    def _budget(self) -> float:
        due = self._parts.now + self._parts.budgets.stream_idle_s
        timeout = self._plan.forward.route.request_timeout_s
        if timeout is not None and self._answer is None:
            due = min(due, self._account.began + timeout)
        return due

    def fail(self, refusal: Refusal) -> None:
        """An answer of ours where none has begun, else a broken one."""
        if self._is_ended:
            return
        has_answered = self._answer is not None
        if not has_answered and refusal.what in retrying.FAILURES:
            self._report(None)
            is_repeatable = self._plan.is_repeatable
            if self._out.may_try_again(self._plan) and retrying.on_failure(
                refusal.what, was_sent=self._out.was_sent, is_repeatable=is_repeatable
            ):
                self._try_again()
                return
        self._close_upstream()
        decision = "deny" if refusal.what.status in (403, 407, 429) else "fail"
        self._end(decision, refusal.what.status, refusal.reason)
        if has_answered:
            self._client.abort()
        else:
            self._client.refuse(
                refusal,
                close=not self._body.is_done or not self._keeps_alive,
                is_head=self._method == b"HEAD",
            )

    def _finish(self, *, is_clean: bool) -> None:
        upstream, self._upstream = self._upstream, None
        head = self._answer
        assert head is not None
        if upstream is not None:
            is_whole = is_clean and self._body.is_done and not isinstance(
                self._answer_body, UntilClose
            )  # fmt: skip
            if is_whole and head.keeps_alive and upstream.is_open:
                self._parts.upstreams.give_back(upstream, self._parts.now)
            else:
                upstream.user = None
                upstream.close()
        self._end("allow", head.status, "")
        self._client.on_answered(keep=self._keeps_alive and self._body.is_done)

    def _close_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()

    def _end(self, decision: str, status: int, reason: str) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._caller.end_call()
        self._plan.ask.let_go()
        self._account.close(decision, status, reason)
