"""One exchange: a request, its answer, and the one end that it has.

Warm, it is begun and sent in the call that brought its head: no task, no future. What has to wait
is its `Finding`'s. Every ending passes `_end`, where ticket, task and counters are given back.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway.ingress.asked import Asked, stem_of
from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.response import AnswerHead, scan_answer
from gateway.ingress.conversation import Conversation
from gateway.ingress.failures import ROWS, refusal_of, render, render_bare, wake_fields
from gateway.ingress.fields import answered_fields
from gateway.ingress.finding import Finding
from gateway.ingress.parts import Parts
from gateway.ingress.seams import Reason, Refusal, Ticket, Woken
from gateway.ingress.shaping import Shape, shape_of
from gateway.ingress.tunnel import Tunnel
from gateway.ingress.upstream import Upstream

if TYPE_CHECKING:
    from gateway.ingress.client import ClientConnection
    from gateway.ingress.codec.request import RequestHead
    from gateway.ingress.naming import Place

# RFC 9110, section 9.2.2: what may be sent a second time when the first one's fate is unknown.
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
_MAX_INTERIM: Final = 16
_CLIENT_LEFT: Final = 499
"""In the access log only, as nginx writes it."""
_EXPECT: Final = b"Expect: 100-continue\r\n"
_END: Final = b"\r\n\r\n"


class Exchange(Conversation):
    __slots__ = (
        "_answer",
        "_asked",
        "_bytes_in",
        "_finding",
        "_fresh_only",
        "_holding",
        "_interim",
        "_is_admitted",
        "_is_answered",
        "_is_clean",
        "_is_head_out",
        "_is_hop",
        "_is_safe",
        "_keep_client",
        "_kept",
        "_kept_size",
        "_may_resend",
        "_partial",
        "_parts",
        "_request_body",
        "_sent",
        "_shape",
        "_told_continue",
        "_wake",
        "client",
        "has_ended",
        "head",
        "place",
        "request_id",
        "started",
        "ticket",
        "upstream",
    )

    def __init__(
        self, client: "ClientConnection", parts: Parts, asked: Asked, request_id: bytes
    ) -> None:
        head = asked.head
        fields = head.fields
        self.client = client
        self.head: RequestHead = head
        self.place: Place = asked.place
        self.request_id = request_id
        self.ticket: Ticket | None = None
        self.upstream: Upstream | None = None
        self.started = parts.time()
        """Loop time."""
        self.has_ended = False
        self._asked = asked
        self._parts = parts
        self._finding: Finding | None = None
        self._is_safe = head.method in _IDEMPOTENT
        self._fresh_only = False
        self._sent = False
        self._is_admitted = False
        self._wake: Woken | None = None
        self._bytes_in = 0
        self._request_body: Body = NO_BODY
        if fields.chunked:
            self._request_body = ChunkedBody()
        elif fields.length:
            self._request_body = LengthBody(fields.length)
        self.is_request_done = self._request_body.is_done
        # What came of the body and may have to be sent (again), while it may.
        self._kept: list[bytes] | None = None
        self._kept_size = 0
        self._may_resend = True
        self._holding = True
        self._told_continue = False
        self._answer: AnswerHead | None = None
        self._shape: Shape | None = None
        self._partial = b""
        self._interim = 0
        self._is_answered = False
        self._is_clean = True
        self._is_hop = False
        self._is_head_out = False
        self._keep_client = head.keeps_alive
        parts.meters.inflight += 1  # from here on only `_end` ends it

    def __repr__(self) -> str:
        phase = "ended" if self.has_ended else "waiting" if self.upstream is None else "sent"
        return f"<Exchange {self.head.method!r} {self.place.demand.actor} {phase}>"

    # --- the way -----------------------------------------------------------------------------

    def begin(self) -> None:
        parts = self._parts
        try:
            if parts.crowds is not None:
                if not parts.crowds.enter(self.place.actor):
                    why = "too many requests are open on this actor"
                    raise self.refusal(Reason.QUEUE_FULL, why)
                self._is_admitted = True
            demand, asleep = self.place.demand, 0
            if parts.settings.asleep:
                target = self.place.target or self.head.target
                asleep = parts.settings.asleep.get(target.partition(b"?")[0], 0)
                if asleep:
                    demand = replace(demand, is_quiet=True)
            ticket = parts.usher.admit(demand)
            if ticket is None and asleep:
                self._answer_asleep(asleep)
                return
            if ticket is not None:
                self.board(ticket)
                connection = self.take(ticket)
                if self.has_ended or (connection is not None and self.send(connection)):
                    return
        except Refusal as refusal:
            self.fail(refusal)
            return
        self._need_finding().begin()

    def _need_finding(self) -> Finding:
        if self._finding is None:
            self._finding = Finding(self, self._parts)
        return self._finding

    def board(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self._is_hop = ticket.is_hop
        self._wake = ticket.wake or self._wake
        ticket.on_cut(self.cut)

    def take(self, ticket: Ticket) -> Upstream | None:
        """A connection that waits for its next use."""
        if self._fresh_only:
            return None
        settings = self._parts.settings
        age = settings.upstream_idle_s if self._is_safe else settings.upstream_fresh_s
        return self._parts.upstreams.take(ticket.pool_key, self._parts.now - age)

    @property
    def brought(self) -> int:
        """Bytes of this request that we hold."""
        return self.head.size + self._kept_size + len(self.client.buffer)

    # --- the request -------------------------------------------------------------------------

    def send(self, connection: Upstream) -> bool:
        """The first byte, and what there is of the body; False when the way closed under us.
        Raises Refusal."""
        ticket = self.ticket
        assert ticket is not None and self._may_resend
        if not ticket.is_valid():
            connection.close()
            self._need_finding().leave_way("fenced")
            return False
        self.upstream = connection
        connection.user = self
        self._sent = True
        self._partial = b""
        self._expect_more()
        if not self._is_hop:
            text = self._asked.text
        elif self._is_large():
            # Too much to keep: the door lets it through when it knows that the actor is there.
            text = self._asked.hop_text(_EXPECT + ticket.hop_fields)
            connection.write(text + self.request_id + _END)
            return True
        else:
            text = self._asked.hop_text(ticket.hop_fields)
        text += self.request_id + _END
        if self._kept is not None:
            text += b"".join(self._kept)
        connection.write(text)
        if not (self._is_safe or self._is_hop):
            self._drop_kept()
        self._let_body_flow()
        return True

    def _is_large(self) -> bool:
        if self.is_request_done:
            return False
        fields = self.head.fields
        return (
            self._owes_continue()
            or fields.chunked
            or (fields.length or 0) > self._parts.settings.replay_bytes
        )

    def _let_body_flow(self) -> None:
        self._holding = False
        self.client.resume(self.client.HELD)
        if self.is_request_done:
            return  # what is all here already may as well stay until the answer
        if self._kept_size > self._parts.settings.replay_bytes:
            self._drop_kept()
        if self._owes_continue():
            self._told_continue = True
            self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110, section 10.1.1

    def _drop_kept(self) -> None:
        """From here on it can't be sent again."""
        self._kept = None
        self._may_resend = False

    def on_request_data(self, data: bytes) -> None:
        try:
            end = self._request_body.feed(data, 0)
        except Malformed as error:
            self._keep_client = False
            if self._answer is None:
                self.fail(refusal_of(error))
            else:
                self.break_off("bad-request")
            return
        if end < len(data):
            self.client.buffer = data[end:]
            data = data[:end]
        self._bytes_in += end
        self._pass_on(data)
        if self._request_body.is_done:
            self.is_request_done = True
            if self._is_answered:
                self._finish()

    def _pass_on(self, data: bytes) -> None:
        if not self._holding:
            self._moved()
            if self.upstream is not None:
                self.upstream.write(data)
        if not self._may_resend:
            return
        if self._kept is None:
            self._kept = []
        self._kept.append(data)
        self._kept_size += len(data)
        if self._finding is not None:
            self._finding.hold_more(len(data))
        if self._kept_size > self._parts.settings.replay_bytes:
            if self._holding:
                self.client.pause(self.client.HELD)
            else:
                self._drop_kept()

    # --- the answer --------------------------------------------------------------------------

    def on_answer(self, data: bytes) -> None:
        try:
            if self._answer is None:
                self._on_answer_head(data)
            else:
                self._moved()
                shape = self._shape
                assert shape is not None
                self.client.write(shape.piece(data, 0))
                if shape.is_done:
                    self._on_answered()
        except Malformed as error:
            self._on_nonsense(error)
        except Refusal as refusal:
            self.fail(refusal)

    def _on_answer_head(self, data: bytes) -> None:
        upstream, ticket = self.upstream, self.ticket
        assert upstream is not None and ticket is not None
        if self._partial:
            data = self._partial + data
        known = upstream.last_answer
        answer, size = known, 0
        if known is not None and upstream.last_stem:
            # Another relay of ours: what it repeats differs in our own id, which it puts last.
            head = upstream.last_stem + self.request_id + _END
            size = len(head) if data.startswith(head) else 0
        if not size:
            answer = scan_answer(data, known)
        if answer is None:
            self._partial = data
            self._expect_more()
            return
        self._partial = b""
        size = size or len(answer.raw)
        if answer.status < 200:
            self._expect_more()
            self._on_interim(answer, data[size:])
            return
        if answer.is_stale and answer.status == 421 and self._is_hop:
            self._on_stale()
            return
        if not ticket.is_valid():
            self._on_fenced()
            return
        self._answer = answer
        shape = self._shape = shape_of(answer, self.head.method, self.head.minor)
        if shape.ends_by_close or self._parts.is_draining or self._owes_continue():
            # Of the last: a final answer instead of a 100, and nobody can know whether the body
            # comes after all.
            self._keep_client = False
        piece = shape.piece(data, size)
        if answer is known and upstream.last_edited and self._wake is None:
            text = upstream.last_edited
        else:
            upstream.last_answer = answer
            upstream.last_stem = stem_of(answer.raw, self.request_id) if self._is_hop else b""
            text = self._edited(answer, ticket)
            upstream.last_edited = text if self._wake is None else b""
        self._is_head_out = True
        self.client.write(self._answer_head(text, shape) + piece)
        if shape.is_done:
            self._on_answered()
        else:
            self._expect_more()

    def _on_interim(self, answer: AnswerHead, rest: bytes) -> None:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise Malformed("more interim answers than anybody needs")
        if answer.status == 101:
            self._switch(answer, rest)
            return
        if answer.status == 100:
            if self._holding:
                self._send_held_body()
            # Else nobody asked for it: Expect was taken out by us.
        elif self.head.minor:
            block = answered_fields(answer, is_hop=False, keep_wake=False)
            self.client.write(b"HTTP/1.1 %b%b\r\n\r\n" % (answer.line, block))
        if rest:
            self._on_answer_head(rest)

    def _send_held_body(self) -> None:
        assert self.upstream is not None
        if self._kept is not None:
            self.upstream.write(b"".join(self._kept))
        self._drop_kept()
        self._let_body_flow()

    def _owes_continue(self) -> bool:
        """The client waits for our 100 before it sends its body; HTTP/1.0 never does (10.1.1)."""
        if self.is_request_done or self._told_continue:
            return False
        return self.head.fields.expects_continue and self.head.minor == 1

    def _edited(self, answer: AnswerHead, ticket: Ticket) -> bytes:
        """The head as clients get it, without what differs per request."""
        fields = answered_fields(answer, is_hop=self._is_hop, keep_wake=self._wake is None)
        return b"HTTP/1.1 %b%b" % (answer.line, fields)

    def _answer_head(self, text: bytes, shape: Shape) -> bytes:
        text = shape.edit(text)
        if self._wake is not None:
            text += wake_fields(self._wake)
        if not self._keep_client:
            text += b"\r\nConnection: close"
        elif not self.head.minor:
            text += b"\r\nConnection: keep-alive"
        return text + b"\r\nX-Request-Id: " + self.request_id + b"\r\n\r\n"

    def on_answer_end(self) -> bool:
        shape = self._shape
        if shape is not None and shape.until_close:
            self.client.write(shape.last())
            self._is_clean = False
            self._on_answered()
        return False

    def _on_answered(self) -> None:
        if self._is_answered:
            return
        self._is_answered = True
        if self.is_request_done:
            self._finish()
        elif self._holding or self._owes_continue() or not self._is_clean:
            # The rest of the request is wanted by nobody.
            self._keep_client = False
            self._finish()
        # Else the actor may still read what it is being sent (A16).

    def _on_nonsense(self, error: Malformed) -> None:
        if not self._is_head_out:
            self.fail(self.refusal(Reason.BROKEN, f"the actor's answer: {error.message}"))
        else:
            self.break_off("broken")

    def _on_stale(self) -> None:
        """Another door says that the actor is not there; it has not passed on a byte."""
        self._leave_upstream()
        if not self._may_resend:
            raise self.refusal(Reason.UNAVAILABLE, "the actor moved; the body can't be sent again")
        finding = self._need_finding()
        finding.leave_way("stale-route")
        self._holding = True
        finding.begin()

    def _on_fenced(self) -> None:
        """The lease ran out while the actor worked: its answer may be that of a second copy."""
        self._leave_upstream()
        if self._is_safe:
            raise self.refusal(Reason.UNAVAILABLE, "the actor's worker lost it meanwhile")
        raise self.refusal(Reason.BROKEN, "the actor's worker lost it meanwhile")

    def _switch(self, answer: AnswerHead, rest: bytes) -> None:
        """101: from here on it is two streams of bytes (RFC 9110, section 7.8)."""
        upstream, ticket = self.upstream, self.ticket
        assert upstream is not None and ticket is not None
        if not (self.head.fields.upgrade and self.head.minor and self.is_request_done):
            raise Malformed("101 to a request that did not ask for it")
        if not ticket.is_valid():
            self._on_fenced()
        self._answer = answer
        self._is_head_out = True
        wake = wake_fields(self._wake) if self._wake is not None else b""
        self.client.write(
            b"%b%b\r\nConnection: upgrade\r\nUpgrade: %b\r\nX-Request-Id: %b\r\n\r\n"
            % (self._edited(answer, ticket), wake, answer.upgrade, self.request_id)
        )
        self._parts.meters.upgrades += 1
        tunnel = Tunnel(self, self._parts, self.client, upstream, ticket)
        self.client.user = tunnel
        upstream.user = tunnel
        tunnel.begin(rest)

    # --- what else happens to it --------------------------------------------------------------

    def on_upstream_lost(self, error: Exception | None) -> None:
        lost, self.upstream = self.upstream, None
        if self._is_answered:
            self._keep_client = self._keep_client and self.is_request_done
            self._finish()
        elif self._answer is not None:
            self.break_off("broken")
        elif lost is not None and lost.was_used and self._may_repeat():
            # It was idle and its server closed it as we wrote: no byte of an answer came.
            self._repeat_on_fresh()
        else:
            self.fail(self.refusal(Reason.BROKEN, "the actor closed the connection"))

    def _may_repeat(self) -> bool:
        return self._may_resend and self._is_safe and not (self._partial or self._interim)

    def _repeat_on_fresh(self) -> None:
        finding = self._need_finding()
        try:
            finding.count_repeat("reused")
        except Refusal as refusal:
            self.fail(refusal)
            return
        self._holding = True
        self._fresh_only = True
        finding.begin()

    def on_upstream_full(self, is_full: bool) -> None:
        if is_full:
            self.client.pause(self.client.UPSTREAM)
        else:
            self.client.resume(self.client.UPSTREAM)

    def on_client_full(self, is_full: bool) -> None:
        if self.upstream is not None:
            if is_full:
                self.upstream.pause()
            else:
                self.upstream.resume()

    def on_client_end(self) -> bool:
        # A client that only closed its sending side can't be told from one that left; most have
        # left, and an actor must not work for them (A22). nginx decides the same.
        self.abort()
        return False

    def due(self, due: float) -> float:
        """`due`, or the end of the budget for the whole if that is earlier; 0 is never."""
        budget = self._parts.settings.request_s
        if not budget:
            return due
        return min(due or self.started + budget, self.started + budget)

    def on_expired(self) -> None:
        budget = self._parts.settings.request_s
        if budget and self._parts.now >= self.started + budget:
            self._on_overtime()
        elif not self.is_request_done and not self._holding:
            self.abort()  # the client owes us its body
            self.client.close()
        elif self._answer is None:
            self.fail(self.refusal(Reason.NO_ANSWER, "the actor did not answer in time"))
        else:
            self.break_off("no-answer")

    def _on_overtime(self) -> None:
        if self._answer is None:
            self.fail(self.refusal(Reason.NO_ANSWER, "the request took longer than it may"))
        else:
            self.break_off("no-answer")

    def cut(self) -> None:
        """The ticket must end now."""
        if self.has_ended:
            return
        if self.client.user is not self and self.client.user is not None:
            self.client.user.cut()
        elif self._answer is not None:
            self.break_off("cut")
        elif self._sent:
            self.fail(self.refusal(Reason.BROKEN, "the actor was stopped"))
        else:
            self.fail(self.refusal(Reason.SHUTTING_DOWN, "the actor is being stopped"))

    def abort(self) -> None:
        """The client has left."""
        if not self.has_ended:
            self._parts.meters.aborted += 1
            self._end(_CLIENT_LEFT, False, "client-left", is_counted=False)

    # --- endings -----------------------------------------------------------------------------

    def _finish(self) -> None:
        """Both sides are complete, or the rest of the request does not matter any more."""
        answer, upstream, shape = self._answer, self.upstream, self._shape
        assert answer is not None and shape is not None
        sent = self.is_request_done and not self._holding
        if upstream is not None and sent and answer.keeps_alive:
            if self._is_clean and not shape.is_overfull:
                # Before the ticket: once that is closed the actor may be frozen, its pool dropped.
                self.upstream = None
                self._parts.upstreams.give_back(upstream, self._parts.now)
        self._end(answer.status, True, "")
        self.client.on_answered(keep=self._keep_client, whole=self.is_request_done)

    def fail(self, refusal: Refusal) -> None:
        """Answer it ourselves; no head was sent yet."""
        if self.has_ended:
            return
        keep = self._keep_client and self.is_request_done and not self._parts.is_draining
        text = render(
            refusal, self.request_id, close=not keep, without_body=self.head.method == b"HEAD"
        )
        self._end(ROWS[refusal.reason].status, False, refusal.reason.value)
        self.client.write(text)
        self.client.on_answered(keep=keep, whole=self.is_request_done)

    def _answer_asleep(self, status: int) -> None:
        """As was set for this path, instead of a wake (A4)."""
        keep = self._keep_client and self.is_request_done and not self._parts.is_draining
        text = render_bare(status, self.request_id, close=not keep)
        self._end(status, False, "asleep")
        self.client.write(text)
        self.client.on_answered(keep=keep, whole=self.is_request_done)

    def break_off(self, reason: str) -> None:
        """A head was sent, so the client must see that the rest is missing (A79)."""
        if self.has_ended:
            return
        self._parts.meters.broken_off += 1
        status = self._answer.status if self._answer is not None else 0
        self._end(status, True, reason)
        # To a client that reads until close, an orderly close looks like the end: reset instead.
        self.client.break_off(reset=self._shape is not None and self._shape.ends_by_close)

    def end_tunnel(self, bytes_in: int, bytes_out: int, reason: str) -> None:
        self._bytes_in += bytes_in
        self._end(101, True, reason, tunnelled=bytes_out)

    def _end(
        self,
        status: int,
        by_actor: bool,
        reason: str,
        *,
        is_counted: bool = True,
        tunnelled: int = 0,
    ) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        parts = self._parts
        if self._finding is not None:
            self._finding.cancel()
        self._leave_upstream()
        if self._is_admitted and parts.crowds is not None:
            parts.crowds.leave(self.place.actor)
        ticket, self.ticket = self.ticket, None  # it holds `cut`, and so us: no cycle is left
        if ticket is not None:
            ticket.close()
        bytes_out = tunnelled + (self._shape.size if self._shape is not None else 0)
        took_s = parts.time() - self.started
        parts.meters.ended(self._bytes_in, bytes_out)
        if is_counted:
            parts.meters.answered(status, by_actor, took_s)
        if parts.access_log is not None:
            parts.access_log.add(
                self.request_id,
                self._asked.tell(self.client.peer),
                status,
                b"actor" if by_actor else b"rouse",
                took_s,
                self._bytes_in,
                bytes_out,
                reason,
                self._finding.repeats if self._finding is not None else 0,
                self._wake,
            )

    def _leave_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def _moved(self) -> None:
        """A piece of a body, which is activity (P5). What comes and goes with a head is told by
        the ticket itself."""
        if self.ticket is not None:
            self.ticket.touch()
        self._expect_more()

    def _expect_more(self) -> None:
        """Until when does the next thing have to come?"""
        settings = self._parts.settings
        if not self.is_request_done:
            budget = settings.body_idle_s
        elif self._answer is None and settings.first_byte_s:
            budget = settings.first_byte_s
        else:
            budget = settings.stream_idle_s
        self.client.expires = self.due(self._parts.now + budget if budget else 0.0)

    def refusal(self, reason: Reason, message: str) -> Refusal:
        return Refusal(reason, message, actor=self.place.demand.actor)
