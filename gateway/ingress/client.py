"""A client's connection: bytes become requests, one at a time and answered in their order.

It decides what belongs to which request and when to read; what happens to a request is the
exchange's. A pipelined request waits in the buffer until the one before it has ended.
"""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from gateway.ingress.accesslog import told_request
from gateway.ingress.asked import Asked
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.request import NO_FIELDS, RequestFields, RequestHead, scan_request
from gateway.ingress.exchange import Exchange
from gateway.ingress.failures import ROWS, refusal_of, render, render_redirect
from gateway.ingress.fields import Trust, forwarded_fields, is_trusted, sane_request_id
from gateway.ingress.naming import Place, Redirect
from gateway.ingress.parts import Parts
from gateway.ingress.rates import Rates, told_address
from gateway.ingress.seams import Reason, Refusal

if TYPE_CHECKING:
    from gateway.ingress.conversation import Conversation
    from gateway.ingress.server import Connections


_ENDED: Final = (7, 8)
"""TCP_CLOSE (it was reset) and TCP_CLOSE_WAIT (it sends no more), of Linux's tcp_states.h."""


class ClientConnection:
    """An asyncio.Protocol by its methods: a compiled class can't derive from that, and neither
    loop asks for it."""

    # Why reading is paused; it goes on when no reason is left.
    PIPELINED: Final = 1
    HELD: Final = 2
    UPSTREAM: Final = 4
    CROWDED: Final = 8

    __slots__ = (
        "_asked",
        "_claimed",
        "_fields",
        "_home",
        "_is_full",
        "_is_over",
        "_is_pumping",
        "_is_tls",
        "_parts",
        "_paused",
        "_transport",
        "_trust",
        "buffer",
        "expires",
        "peer",
        "user",
    )

    def __init__(self, parts: Parts, home: "Connections", peer: str | None = None) -> None:
        self._parts = parts
        self._home = home
        self._transport: asyncio.Transport | None = None
        self._trust = Trust.HOP if parts.naming.is_door else Trust.CLIENT
        self._fields: RequestFields = NO_FIELDS
        """Of the last head."""
        self._asked: Asked | None = None
        """The last request that went on."""
        self._paused = 0
        self._is_full = False
        self._is_pumping = False
        self._is_over = False
        """No further request is begun: it is closed, or will be when what comes was dropped."""
        self._is_tls = False
        self.buffer = b""
        """What was read and belongs to no request yet."""
        self.user: Conversation | None = None
        self.expires = 0.0
        """Loop time at which `on_expired` is due; 0 is never."""
        self._claimed = peer
        self.peer = b"unknown"

    def __repr__(self) -> str:
        return f"<ClientConnection {self.peer!r} {self.user!r}, {len(self.buffer)} bytes ahead>"

    # --- the transport's calls ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._parts.settings.buffer_bytes)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        address = transport.get_extra_info("peername")
        if isinstance(address, tuple):
            host = self._claimed or str(address[0])
            self.peer = host.encode("ascii", "replace")
            trusted = self._parts.settings.trusted
            if self._trust is Trust.CLIENT and is_trusted(host, trusted):
                self._trust = Trust.PROXY
        if not self._home.add(self):
            refusal = Refusal(Reason.NO_CAPACITY, "too many connections")
            self._answer(refusal, None, self._parts.new_request_id())
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        user = self.user
        if user is not None:
            if not user.is_request_done:
                user.on_request_data(data)
                if self.buffer:
                    self._pump()
                return
            self.buffer += data
            if len(self.buffer) > self._parts.settings.buffer_bytes:
                self.pause(self.PIPELINED)
            return
        if self._is_over:
            return
        if self.buffer:
            self.buffer += data
        else:
            self.buffer = data
            head_s = self._parts.settings.head_s
            self.expires = self._parts.now + head_s if head_s else 0.0
        self._pump()

    def eof_received(self) -> bool:
        self._is_over = True
        return self.user.on_client_end() if self.user is not None else False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._home.remove(self)
        user, self.user = self.user, None
        if user is not None:
            user.abort()

    def pause_writing(self) -> None:
        self._is_full = True
        if self.user is not None:
            self.user.on_client_full(True)

    def resume_writing(self) -> None:
        self._is_full = False
        if self.user is not None:
            self.user.on_client_full(False)
        else:
            self._pump()

    # --- requests ----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin what the buffer holds, until a request has to wait. A loop, not a recursion: a
        buffer may hold thousands of requests that are answered at once."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self.buffer and self.user is None and self._may_begin():
                if not self._begin():
                    break
        finally:
            self._is_pumping = False
        if self._paused and len(self.buffer) <= self._parts.settings.buffer_bytes:
            self.resume(self.PIPELINED)

    def _may_begin(self) -> bool:
        # A client that does not read its answers gets no further ones made.
        return not (self._is_full or self._is_over or self._transport is None)

    def _begin(self) -> bool:
        """One request out of the buffer; False when its head is not complete."""
        parts, asked, buffer = self._parts, self._asked, self.buffer
        request_id = b""
        came: RequestHead | None = None
        try:
            if asked is not None and buffer.startswith(asked.raw):
                came, size = asked.came, len(asked.raw)
            elif asked is not None and (given := self._id_after(asked.stem)):
                came, size = asked.came, len(asked.stem) + len(given) + 4
                request_id = given
            else:
                came = scan_request(buffer, self._fields)
                if came is None:
                    return False
                size = came.size
                self._fields = came.fields
            self.buffer = b"" if size == len(buffer) else buffer[size:]
            self.expires = 0.0
            request_id = request_id or self._request_id(came)
            if parts.rates is not None:
                self._check_rate(parts.rates, came)
            place: Place | Redirect
            if asked is not None and came is asked.came and self._trust is Trust.HOP:
                place = asked.place  # the hop's fields said the same
            else:
                place = parts.naming.name(came.target, came.fields)
            if isinstance(place, Redirect):
                self._redirect(place, came, request_id)
                return True
            head = came
            if parts.gatekeeper is not None:
                head, place = parts.gatekeeper.admit(came, place)
        except Malformed as error:
            self._answer(refusal_of(error), came, request_id or parts.new_request_id())
            return True
        except Refusal as refusal:
            self._answer(refusal, came, request_id)
            return True
        if asked is None or asked.came is not came or not asked.is_for(head, place):
            asked = Asked(buffer[:size], came, head, place, self._forward_of(asked, head))
            self._asked = asked if asked.is_kept else None
        self._use(Exchange(self, parts, asked, request_id))
        return True

    def _id_after(self, stem: bytes) -> bytes:
        """The request id behind `stem`, when that and the end of the head are all that follows:
        another relay of ours repeats its heads but for that."""
        if not stem or self._trust is not Trust.HOP or not self.buffer.startswith(stem):
            return b""
        end = self.buffer.find(b"\r\n", len(stem))
        given = self.buffer[len(stem) : end]
        if end < 0 or not self.buffer.startswith(b"\r\n\r\n", end):
            return b""
        return given if sane_request_id(given) else b""

    def _check_rate(self, rates: Rates, head: RequestHead) -> None:
        """Before names and credentials are looked at: guessing them is limited too."""
        address = self.peer
        if self._trust is Trust.PROXY:
            address = told_address(head.fields.block, address)
        wait_s = rates.take(address, self._parts.time())
        if wait_s:
            why = "too many requests from this address"
            raise Refusal(Reason.RATE_LIMITED, why, retry_after_s=wait_s)

    def _use(self, exchange: Exchange) -> None:
        self.user = exchange
        if self.buffer and not exchange.is_request_done:
            # What came with the head goes out with the head.
            data, self.buffer = self.buffer, b""
            exchange.on_request_data(data)
            if exchange.has_ended:
                return  # its body was malformed
        exchange.begin()

    def _forward_of(self, last: Asked | None, head: RequestHead) -> bytes:
        """The fields that go on: mostly those of the last request."""
        if last is not None and last.head.fields is head.fields:
            return last.forward
        scheme = b"https" if self._is_tls else self._parts.settings.scheme.encode()
        return forwarded_fields(head.fields, self._trust, self.peer, scheme)

    def _request_id(self, head: RequestHead) -> bytes:
        given = head.fields.request_id
        if given and self._trust is not Trust.CLIENT and sane_request_id(given):
            return given
        return self._parts.new_request_id()

    def _answer(self, refusal: Refusal, head: RequestHead | None, request_id: bytes) -> None:
        """Refuse a request that never became an exchange."""
        whole = head is not None and not head.fields.has_body
        keep = whole and head is not None and head.keeps_alive and not self._parts.is_draining
        without_body = head is not None and head.method == b"HEAD"
        text = render(refusal, request_id, close=not keep, without_body=without_body)
        self._account(head, request_id, ROWS[refusal.reason].status, refusal.reason.value)
        self.write(text)
        self.on_answered(keep=keep, whole=whole)

    def _redirect(self, redirect: Redirect, head: RequestHead, request_id: bytes) -> None:
        whole = not head.fields.has_body
        keep = whole and head.keeps_alive and not self._parts.is_draining
        self._account(head, request_id, 308, "")
        self.write(render_redirect(redirect.location, request_id, close=not keep))
        self.on_answered(keep=keep, whole=whole)

    def _account(
        self, head: RequestHead | None, request_id: bytes, status: int, reason: str
    ) -> None:
        self._parts.meters.answered(status, False, 0.0)
        if self._parts.access_log is not None:
            method, target = (head.method, head.target) if head is not None else (b"-", b"-")
            request = told_request(self.peer, b"", method, target)
            self._parts.access_log.add(request_id, request, status, b"rouse", 0.0, reason=reason)

    # --- what an exchange asks for -------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def write_eof(self) -> None:
        if self._transport is None or self._is_closing:
            return
        with suppress(OSError):  # reset by its client, which the loop has not told us yet
            self._transport.write_eof()

    def on_answered(self, *, keep: bool, whole: bool) -> None:
        """The answer is out. `whole`: so is the request in, and what follows is the next one."""
        self.user = None
        self.resume(self.HELD | self.UPSTREAM | self.CROWDED)
        if keep and not self._parts.is_draining:
            self._expect_request()
            if self.buffer:
                self._pump()
        elif whole and not self.buffer:
            self.close()
        else:
            self._linger()

    def break_off(self, *, reset: bool) -> None:
        self.user = None
        self._is_over = True
        if reset and self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self.close()

    def close(self) -> None:
        """What was written goes out first. A reader that never takes it meets the linger budget."""
        self.user = None
        self._is_over = True
        self.expires = self._parts.now + (self._parts.settings.linger_s or 5.0)
        if self._transport is not None:
            self._transport.close()

    def pause(self, reason: int) -> None:
        if not self._paused and self._transport is not None:
            self._transport.pause_reading()
        self._paused |= reason

    def resume(self, reason: int) -> None:
        if self._paused:
            self._paused &= ~reason
            if not self._paused and self._transport is not None and not self._is_closing:
                self._transport.resume_reading()

    # --- the sweep's and the drain's -------------------------------------------------------------

    def on_expired(self) -> None:
        self.expires = 0.0
        if self.user is not None:
            self.user.on_expired()
        elif self._is_over:
            if self._transport is not None:
                self._transport.abort()
        elif self.buffer:
            refusal = Refusal(Reason.BAD_REQUEST, "the head did not arrive in time")
            self._answer(refusal, None, self._parts.new_request_id())
        else:
            self.close()

    def on_drain(self) -> None:
        """Idle: go. Busy: the answer in flight will be the last (see Exchange._frame)."""
        if self.user is None and not self.buffer:
            self.close()

    def cut(self) -> None:
        if self.user is not None:
            self.user.cut()

    def abort(self) -> None:
        self._is_over = True
        self.cut()
        if self._transport is not None:
            self._transport.abort()

    def has_left_unseen(self) -> bool:
        """While reading is paused (a large body waits for its actor, or the actor is slow) the loop
        tells nobody that the client is gone; the kernel knows. Elsewhere than on Linux: False."""
        if not self._paused or self._transport is None or self.user is None:
            return False
        sock = self._transport.get_extra_info("socket")
        if sys.platform != "linux" or sock is None or sock.family == socket.AF_UNIX:
            return False
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        except OSError:
            return True
        return info[0] in _ENDED

    def abort_for_client(self) -> None:
        """As if we had read its end."""
        user, self.user = self.user, None
        self._is_over = True
        if user is not None:
            user.abort()
        if self._transport is not None:
            self._transport.abort()

    @property
    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _expect_request(self) -> None:
        if not self._is_over:
            idle_s = self._parts.settings.idle_s
            self.expires = self._parts.now + idle_s if idle_s else 0.0

    def _linger(self) -> None:
        """Read and drop what was on its way, for a while (see RelaySettings.linger_s)."""
        self._is_over = True
        self.buffer = b""
        self.expires = self._parts.now + (self._parts.settings.linger_s or 5.0)
        self.resume(self.PIPELINED)
        self.write_eof()
