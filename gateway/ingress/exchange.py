"""One exchange: a request, the way it takes, its answer, and the one end that it has.

Warm, it is begun and sent in the call that brought its head: no task, no future. What has to wait
(a wake, a connect, a repeat) does so in one child task of the relay, which ends before the first
byte goes out. Every ending passes `_end`, where ticket, task and counters are given back.
"""

import asyncio
import logging
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.ingress.accesslog import Entry
from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody, LengthBody, UntilClose
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.request import RequestHead
from gateway.ingress.codec.response import AnswerHead, Framing, scan_answer
from gateway.ingress.crowds import Crowds
from gateway.ingress.failures import ROWS, refusal_of, render, wake_fields
from gateway.ingress.fields import answered_fields, without_chunking
from gateway.ingress.naming import Place
from gateway.ingress.parts import Parts
from gateway.ingress.seams import Reason, Refusal, Ticket, Woken
from gateway.ingress.tunnel import Tunnel
from gateway.ingress.upstream import Upstream
from gateway.ingress.waitingpage import navigates

if TYPE_CHECKING:
    from gateway.ingress.client import ClientConnection

log = logging.getLogger(__name__)

# RFC 9110, section 9.2.2: what may be sent a second time when the first one's fate is unknown.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
_MAX_INTERIM = 16
_CLIENT_LEFT = 499
"""In the access log only, as nginx writes it."""


class _Mode(Enum):
    """How an answer's body goes on to the client."""

    AS_IS = auto()
    INTO_CHUNKS = auto()
    """Framed by close upstream: chunks let the client see whether it is whole (A79)."""
    OUT_OF_CHUNKS = auto()
    """An HTTP/1.0 client does not know chunks (RFC 9112, section 6.1)."""


class Exchange:
    __slots__ = (
        "_answer",
        "_answer_body",
        "_attempts",
        "_bytes_in",
        "_bytes_out",
        "_deadline",
        "_ended",
        "_fresh_only",
        "_holding",
        "_interim",
        "_is_admitted",
        "_is_answered",
        "_is_clean",
        "_is_head_out",
        "_keep_client",
        "_kept",
        "_kept_size",
        "_mode",
        "_parked",
        "_partial",
        "_parts",
        "_request_body",
        "_sent",
        "_started",
        "_task",
        "_told_continue",
        "_wake",
        "client",
        "forward",
        "head",
        "is_request_done",
        "place",
        "request_id",
        "ticket",
        "upstream",
    )

    def __init__(
        self,
        client: "ClientConnection",
        parts: Parts,
        head: RequestHead,
        place: Place,
        forward: bytes,
        request_id: bytes,
    ) -> None:
        self.client = client
        self.head = head
        self.place = place
        self.forward = forward
        """The request's fields as they go on, without what each attempt adds."""
        self.request_id = request_id
        self.ticket: Ticket | None = None
        self.upstream: Upstream | None = None
        self._parts = parts
        self._started = parts.time()
        self._deadline = self._started + (parts.settings.wake_s or 86_400.0)
        self._task: asyncio.Task[None] | None = None
        self._attempts = 0
        self._fresh_only = False
        self._sent = False
        self._ended = False
        self._is_admitted = False
        self._parked: int | None = None
        """Bytes that parking counts as ours while we wait there."""
        self._wake: Woken | None = None
        self._bytes_in = 0
        self._bytes_out = 0
        self._request_body: Body = NO_BODY
        fields = head.fields
        if fields.chunked:
            self._request_body = ChunkedBody()
        elif fields.length:
            self._request_body = LengthBody(fields.length)
        self.is_request_done = self._request_body.is_done
        # What came of the body and may have to be sent (again); None once it can't be repeated.
        self._kept: list[bytes] | None = []
        self._kept_size = 0
        self._holding = True
        self._told_continue = False
        self._answer: AnswerHead | None = None
        self._answer_body: Body = NO_BODY
        self._mode = _Mode.AS_IS
        self._partial = b""
        self._interim = 0
        self._is_answered = False
        self._is_clean = True
        self._is_head_out = False
        self._keep_client = head.keeps_alive
        parts.meters.inflight += 1  # from here on only `_end` ends it

    def __repr__(self) -> str:
        phase = "ended" if self._ended else "waiting" if self.upstream is None else "sent"
        return f"<Exchange {self.head.method!r} {self.place.demand.actor} {phase}>"

    # --- the way -----------------------------------------------------------------------------

    def begin(self) -> None:
        try:
            if self._parts.crowds is not None:
                self._enter_crowd(self._parts.crowds)
            ticket = self._parts.usher.admit(self.place.demand)
            if ticket is not None:
                self._board(ticket)
                connection = self._take(ticket)
                if self._ended or (connection is not None and self._send(connection)):
                    return
        except Refusal as refusal:
            self.fail(refusal)
            return
        self._arrange()

    def _enter_crowd(self, crowds: Crowds) -> None:
        if not crowds.enter(self.place.actor):
            raise self._refusal(Reason.QUEUE_FULL, "too many requests are open on this actor")
        self._is_admitted = True

    def _arrange(self) -> None:
        self._task = self._parts.spawn(self._find_way(), f"way to {self.place.demand.actor}")

    async def _find_way(self) -> None:
        try:
            while True:
                if self.ticket is None:
                    self._board(await self._wait_for_ticket())
                    if self._ended:
                        return  # cut as it was given out
                connection = await self._connect()
                # Nothing awaits between here and the first byte: see Ticket.is_valid.
                if connection is not None and self._send(connection):
                    self._task = None
                    return
        except Refusal as refusal:
            self._task = None
            self.fail(refusal)
        except Exception:
            log.exception("a request could not be brought on its way")
            self._task = None
            self.fail(self._refusal(Reason.UNAVAILABLE, "something here went wrong"))

    async def _wait_for_ticket(self) -> Ticket:
        actor = self.place.demand.actor
        parking = self._parts.parking
        brought = self.head.size + self._kept_size + len(self.client.buffer)
        why_not = parking.enter(actor, brought)
        if why_not is not None:
            raise self._refusal(Reason.QUEUE_FULL, why_not)
        self._parked = brought
        self._deadline = self.due(self._deadline)
        demand = replace(
            self.place.demand,
            request_id=self.request_id.decode("ascii"),
            navigates=navigates(self.head),
            deadline=self._deadline,
        )
        try:
            # The usher keeps the deadline; the second on top is for one that forgot.
            async with asyncio.timeout_at(self._deadline + 1.0):
                return await self._parts.usher.admit_waiting(demand)
        except TimeoutError:
            raise self._refusal(Reason.WAKING, "the actor did not wake in time") from None
        finally:
            parking.leave(actor, self._parked)
            self._parked = None
            self.client.resume(self.client.CROWDED)

    async def _connect(self) -> Upstream | None:
        assert self.ticket is not None
        connection = self._take(self.ticket)
        if connection is not None:
            return connection
        try:
            return await self._parts.upstreams.open(self.ticket)
        except OSError:  # refused, unreachable, or not in time: nobody saw a byte
            self._take_another_way("refused")
            await asyncio.sleep(0.02 * self._attempts)
            return None

    def _board(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self._wake = ticket.wake or self._wake
        ticket.on_cut(self.cut)

    def _take(self, ticket: Ticket) -> Upstream | None:
        if self._fresh_only:
            return None
        settings = self._parts.settings
        safe = self.head.method in _IDEMPOTENT
        age = settings.upstream_idle_s if safe else settings.upstream_fresh_s
        return self._parts.upstreams.take(ticket.pool_key, used_since=self._parts.now - age)

    def _take_another_way(self, cause: str) -> None:
        """The ticket's way is no good: hand it back, and go on unless that was often enough."""
        ticket, self.ticket = self.ticket, None
        assert ticket is not None
        self._parts.usher.forget(self.place.demand, ticket)
        ticket.close()
        self._count_repeat(cause)

    def _count_repeat(self, cause: str) -> None:
        self._attempts += 1
        if self._attempts > self._parts.settings.attempts or self._parts.time() > self._deadline:
            raise self._refusal(Reason.UNAVAILABLE, "the actor could not be reached")
        self._parts.meters.repeats[cause] += 1

    # --- the request -------------------------------------------------------------------------

    def _send(self, connection: Upstream) -> bool:
        """The first byte, and what there is of the body; False when the way closed under us."""
        ticket = self.ticket
        assert ticket is not None and self._kept is not None
        if not ticket.is_valid():
            connection.close()
            self._take_another_way("fenced")
            return False
        self.upstream = connection
        connection.user = self
        self._sent = True
        self._partial = b""
        self._touch()
        if ticket.is_hop and self._is_large():
            # Too much to keep: the door lets it through when it knows that the actor is there.
            connection.write(self._request_head(ticket, b"Expect: 100-continue\r\n"))
            return True
        connection.write(self._request_head(ticket, b"") + b"".join(self._kept))
        if not (ticket.is_hop or self.head.method in _IDEMPOTENT):
            self._kept = None
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
        if self._kept_size > self._parts.settings.replay_bytes and not self.is_request_done:
            self._kept = None  # what is all here already may as well stay until the answer
        if self._owes_continue():
            self._told_continue = True
            self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # RFC 9110, section 10.1.1
        self.client.resume(self.client.HELD)

    def _request_head(self, ticket: Ticket, more: bytes) -> bytes:
        head, place = self.head, self.place
        if place.prefix:
            more += b"X-Forwarded-Prefix: %b\r\n" % place.prefix
        if head.fields.upgrade and head.minor:
            more += b"Connection: upgrade\r\nUpgrade: %b\r\n" % head.fields.upgrade
        if not head.fields.host:
            # HTTP/1.0 may come without, but goes on as HTTP/1.1, which may not (RFC 9112, 3.2).
            more += b"Host: %b\r\n" % place.actor.replace(b"/", b".")
        return b"%b %b HTTP/1.1%b\r\nX-Request-Id: %b\r\n%b%b\r\n" % (
            head.method,
            place.target or head.target,
            self.forward,
            self.request_id,
            more,
            ticket.hop_fields,
        )

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
        limit = self._parts.settings.replay_bytes
        if not self._holding:
            self._touch()
            if self.upstream is not None:
                self.upstream.write(data)
        if self._kept is not None:
            self._kept.append(data)
            self._kept_size += len(data)
            if self._parked is not None:
                self._hold_more(len(data))
            if self._kept_size > limit:
                if self._holding:
                    self.client.pause(self.client.HELD)
                else:
                    self._kept = None

    def _hold_more(self, size: int) -> None:
        assert self._parked is not None
        parking = self._parts.parking
        parking.hold(size)
        self._parked += size
        if not parking.has_room:
            self.client.pause(self.client.CROWDED)  # until our own wait is over

    # --- the answer --------------------------------------------------------------------------

    def on_answer(self, data: bytes) -> None:
        self._touch()
        try:
            if self._answer is None:
                self._on_answer_head(data)
            else:
                self._write_answer(b"", self._answer_piece(data, 0))
        except Malformed as error:
            self._on_nonsense(error)
        except Refusal as refusal:
            self.fail(refusal)

    def _on_answer_head(self, data: bytes) -> None:
        upstream, ticket = self.upstream, self.ticket
        assert upstream is not None and ticket is not None
        if self._partial:
            data = self._partial + data
        answer = scan_answer(data, upstream.last_answer)
        if answer is None:
            self._partial = data
            return
        self._partial = b""
        if answer.status < 200:
            self._on_interim(answer, data[len(answer.raw) :])
            return
        if answer.is_stale and answer.status == 421 and ticket.is_hop:
            self._on_stale()
            return
        if not ticket.is_valid():
            self._on_fenced()
            return
        is_repeated = answer is upstream.last_answer
        upstream.last_answer = answer
        self._answer = answer
        self._frame(answer)
        piece = self._answer_piece(data, len(answer.raw))
        self._write_answer(self._answer_head(answer, upstream, ticket, is_repeated), piece)

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
        assert self.upstream is not None and self._kept is not None
        self.upstream.write(b"".join(self._kept))
        self._kept = None
        self._let_body_flow()

    def _frame(self, answer: AnswerHead) -> None:
        framing = answer.framing(self.head.method)
        old = not self.head.minor
        if framing is Framing.LENGTH:
            assert answer.length is not None
            self._answer_body = LengthBody(answer.length)
        elif framing is Framing.CHUNKED:
            self._answer_body = ChunkedBody(with_spans=old)
            self._mode = _Mode.OUT_OF_CHUNKS if old else _Mode.AS_IS
            self._keep_client = self._keep_client and not old
        elif framing is Framing.UNTIL_CLOSE:
            self._answer_body = UntilClose()
            self._mode = _Mode.AS_IS if old else _Mode.INTO_CHUNKS
            self._keep_client = self._keep_client and not old
        if self._parts.is_draining or self._owes_continue():
            # A final answer instead of a 100: nobody can know whether the body comes after all.
            self._keep_client = False

    def _owes_continue(self) -> bool:
        """The client waits for our 100 before it sends its body; HTTP/1.0 never does (10.1.1)."""
        waits = self.head.fields.expects_continue and self.head.minor == 1
        return waits and not (self._told_continue or self.is_request_done)

    def _answer_head(
        self, answer: AnswerHead, upstream: Upstream, ticket: Ticket, is_repeated: bool
    ) -> bytes:
        if is_repeated and self._wake is None and upstream.last_edited:
            text = upstream.last_edited
        else:
            fields = answered_fields(answer, is_hop=ticket.is_hop, keep_wake=self._wake is None)
            text = b"HTTP/1.1 %b%b" % (answer.line, fields)
            upstream.last_edited = text if self._wake is None else b""
        if self._mode is _Mode.OUT_OF_CHUNKS:
            text = without_chunking(text)
        elif self._mode is _Mode.INTO_CHUNKS:
            text += b"\r\nTransfer-Encoding: chunked"
        if self._wake is not None:
            text += wake_fields(self._wake)
        if not self._keep_client:
            text += b"\r\nConnection: close"
        elif not self.head.minor:
            text += b"\r\nConnection: keep-alive"
        return b"%b\r\nX-Request-Id: %b\r\n\r\n" % (text, self.request_id)

    def _answer_piece(self, data: bytes, start: int) -> bytes:
        """What of `data` is the answer's body, as the client is to get it."""
        end = self._answer_body.feed(data, start)
        if end < len(data):
            self._is_clean = False  # more than it said: this connection is not used again (R27)
            if self._answer_body is not NO_BODY:
                # Which of the two it meant, nobody knows: the client must not take it for whole.
                raise Malformed("it goes on after its end")
        self._bytes_out += end - start
        if self._mode is _Mode.AS_IS:
            return data[start:end]  # the same object when that is all of it
        if self._mode is _Mode.INTO_CHUNKS:
            return b"%x\r\n%b\r\n" % (end - start, data[start:end]) if end > start else b""
        assert isinstance(self._answer_body, ChunkedBody)
        return self._answer_body.take_data()

    def _write_answer(self, head: bytes, piece: bytes) -> None:
        self._is_head_out = True
        self.client.write(head + piece if head else piece)
        if self._answer_body.is_done:
            self._on_answered()

    def on_answer_end(self) -> bool:
        if self._answer is not None and isinstance(self._answer_body, UntilClose):
            if self._mode is _Mode.INTO_CHUNKS:
                self.client.write(b"0\r\n\r\n")
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
            self.fail(self._refusal(Reason.BROKEN, f"the actor's answer: {error.message}"))
        else:
            self.break_off("broken")

    def _on_stale(self) -> None:
        """Another door says that the actor is not there; it has not passed on a byte."""
        self._leave_upstream()
        if self._kept is None:
            raise self._refusal(Reason.UNAVAILABLE, "the actor moved; the body can't be sent again")
        self._take_another_way("stale-route")
        self._holding = True
        self._arrange()

    def _on_fenced(self) -> None:
        """The lease ran out while the actor worked: its answer may be that of a second copy."""
        self._leave_upstream()
        if self.head.method in _IDEMPOTENT:
            raise self._refusal(Reason.UNAVAILABLE, "the actor's worker lost it meanwhile")
        raise self._refusal(Reason.BROKEN, "the actor's worker lost it meanwhile")

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
        fields = answered_fields(answer, is_hop=ticket.is_hop, keep_wake=self._wake is None)
        wake = wake_fields(self._wake) if self._wake is not None else b""
        self.client.write(
            b"HTTP/1.1 %b%b%b\r\nConnection: upgrade\r\nUpgrade: %b\r\nX-Request-Id: %b\r\n\r\n"
            % (answer.line, fields, wake, answer.upgrade, self.request_id)
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
            self.fail(self._refusal(Reason.BROKEN, "the actor closed the connection"))

    def _may_repeat(self) -> bool:
        unheard = not self._partial and not self._interim
        return unheard and self._kept is not None and self.head.method in _IDEMPOTENT

    def _repeat_on_fresh(self) -> None:
        try:
            self._count_repeat("reused")
        except Refusal as refusal:
            self.fail(refusal)
            return
        self._holding = True
        self._fresh_only = True
        self._arrange()

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
        return min(due or self._started + budget, self._started + budget)

    def on_expired(self) -> None:
        budget = self._parts.settings.request_s
        if budget and self._parts.now >= self._started + budget:
            self._on_overtime()
        elif not self.is_request_done and not self._holding:
            self.abort()  # the client owes us its body
            self.client.close()
        elif self._answer is None:
            self.fail(self._refusal(Reason.NO_ANSWER, "the actor did not answer in time"))
        else:
            self.break_off("no-answer")

    def _on_overtime(self) -> None:
        if self._answer is None:
            self.fail(self._refusal(Reason.NO_ANSWER, "the request took longer than it may"))
        else:
            self.break_off("no-answer")

    def cut(self) -> None:
        """The ticket must end now."""
        if self._ended:
            return
        if self.client.user is not self and self.client.user is not None:
            self.client.user.cut()
        elif self._answer is not None:
            self.break_off("cut")
        elif self._sent:
            self.fail(self._refusal(Reason.BROKEN, "the actor was stopped"))
        else:
            self.fail(self._refusal(Reason.SHUTTING_DOWN, "the actor is being stopped"))

    def abort(self) -> None:
        """The client has left."""
        if not self._ended:
            self._parts.meters.aborted += 1
            self._end(_CLIENT_LEFT, "rouse", "client-left", is_counted=False)

    # --- endings -----------------------------------------------------------------------------

    def _finish(self) -> None:
        """Both sides are complete, or the rest of the request does not matter any more."""
        answer, upstream = self._answer, self.upstream
        assert answer is not None
        sent = self.is_request_done and not self._holding
        whole = sent and self._is_clean and answer.keeps_alive
        if upstream is not None and whole:
            # Before the ticket: once that is closed the actor may be frozen, its pool dropped.
            self.upstream = None
            self._parts.upstreams.give_back(upstream, self._parts.now)
        self._end(answer.status, "actor", "")
        self.client.on_answered(keep=self._keep_client, whole=self.is_request_done)

    def fail(self, refusal: Refusal) -> None:
        """Answer it ourselves; no head was sent yet."""
        if self._ended:
            return
        keep = self._keep_client and self.is_request_done and not self._parts.is_draining
        text = render(
            refusal, self.request_id, close=not keep, without_body=self.head.method == b"HEAD"
        )
        self._end(ROWS[refusal.reason].status, "rouse", refusal.reason.value)
        self.client.write(text)
        self.client.on_answered(keep=keep, whole=self.is_request_done)

    def break_off(self, reason: str) -> None:
        """A head was sent, so the client must see that the rest is missing (A79)."""
        if self._ended:
            return
        self._parts.meters.broken_off += 1
        status = self._answer.status if self._answer is not None else 0
        until_close = not self.head.minor and not isinstance(self._answer_body, LengthBody)
        self._end(status, "actor", reason)
        # To a client that reads until close, an orderly close looks like the end: reset instead.
        self.client.break_off(reset=until_close)

    def end_tunnel(self, bytes_in: int, bytes_out: int, reason: str) -> None:
        self._bytes_in += bytes_in
        self._bytes_out += bytes_out
        self._end(101, "actor", reason)

    def _end(self, status: int, source: str, reason: str, *, is_counted: bool = True) -> None:
        if self._ended:
            return
        self._ended = True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._leave_upstream()
        if self._is_admitted and self._parts.crowds is not None:
            self._parts.crowds.leave(self.place.actor)
        ticket, self.ticket = self.ticket, None  # it holds `cut`, and so us: no cycle is left
        if ticket is not None:
            ticket.close()
        self._account(status, source, reason, is_counted)

    def _account(self, status: int, source: str, reason: str, is_counted: bool) -> None:
        meters, access_log = self._parts.meters, self._parts.access_log
        took_s = self._parts.time() - self._started
        meters.inflight -= 1
        meters.bytes_in += self._bytes_in
        meters.bytes_out += self._bytes_out
        if is_counted:
            meters.answered(status, source == "actor", took_s)
        if access_log is not None:
            access_log.add(
                Entry(
                    self.request_id,
                    self.client.peer,
                    self.place.actor,
                    self.head.method,
                    self.head.target,
                    status,
                    source,
                    reason,
                    took_s,
                    self._bytes_in,
                    self._bytes_out,
                    self._attempts,
                    self._wake,
                )
            )

    def _leave_upstream(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None

    def _touch(self) -> None:
        assert self.ticket is not None
        self.ticket.touch()
        settings = self._parts.settings
        if not self.is_request_done:
            budget = settings.body_idle_s
        elif self._answer is None and settings.first_byte_s:
            budget = settings.first_byte_s
        else:
            budget = settings.stream_idle_s
        self.client.expires = self.due(self._parts.now + budget if budget else 0.0)

    def _refusal(self, reason: Reason, message: str) -> Refusal:
        return Refusal(reason, message, actor=self.place.demand.actor)
