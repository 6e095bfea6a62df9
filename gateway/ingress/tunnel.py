"""A tunnel: what an exchange becomes after 101, two streams of bytes that end each for itself.

In a WebSocket it reads the headers of frames: data frames alone are activity (A31, A64), and where
the tunnel is cut, both sides are told so by a close frame (A19).
"""

from typing import TYPE_CHECKING

from gateway.ingress.conversation import Conversation
from gateway.ingress.parts import Parts
from gateway.ingress.seams import Ticket
from gateway.ingress.upstream import Upstream
from gateway.ingress.websocket import CloseCode, Frames, close_frame

if TYPE_CHECKING:
    from gateway.ingress.client import ClientConnection
    from gateway.ingress.exchange import Exchange


class Tunnel(Conversation):
    """Holds the exchange's ticket until both sides have ended or one of them broke."""

    __slots__ = (
        "_actor_ended",
        "_bytes_in",
        "_bytes_out",
        "_client",
        "_client_ended",
        "_data_at",
        "_exchange",
        "_from_actor",
        "_from_client",
        "_has_half_close",
        "_parts",
        "_ticket",
        "_upstream",
    )

    def __init__(
        self,
        exchange: "Exchange",
        parts: Parts,
        client: "ClientConnection",
        upstream: Upstream,
        ticket: Ticket,
    ) -> None:
        super().__init__()  # whatever the client sends belongs to the tunnel: no next request
        self._exchange = exchange
        self._parts = parts
        self._client = client
        self._upstream = upstream
        self._ticket = ticket
        self._bytes_in = 0
        self._bytes_out = 0
        self._client_ended = False
        self._actor_ended = False
        # RFC 6455, section 7.1.1: WebSocket closes by frames; who ends TCP has ended both ways,
        # and a peer that never answers must not hold the actor.
        is_websocket = exchange.head.fields.upgrade.lower() == b"websocket"
        self._has_half_close = not is_websocket
        self._from_client: Frames | None = Frames() if is_websocket else None
        self._from_actor: Frames | None = Frames() if is_websocket else None
        self._data_at = parts.now
        """When the last bytes came that count as activity."""

    def begin(self, early: bytes) -> None:
        """`early` came with the 101; what the client sent before it waits in its buffer."""
        self._expect_more()
        if early:
            self.on_answer(early)
        pending, self._client.buffer = self._client.buffer, b""
        if pending:
            self.on_request_data(pending)
        self._client.resume(self._client.PIPELINED)

    def on_request_data(self, data: bytes) -> None:
        self._bytes_in += len(data)
        self._touch(self._from_client, data)
        self._upstream.write(data)

    def on_answer(self, data: bytes) -> None:
        self._bytes_out += len(data)
        self._touch(self._from_actor, data)
        self._client.write(data)

    def on_client_end(self) -> bool:
        self._client_ended = True
        if self._actor_ended or not self._has_half_close:
            self._end("")
            return False
        self._upstream.write_eof()
        return True

    def on_answer_end(self) -> bool:
        self._actor_ended = True
        if self._client_ended or not self._has_half_close:
            self._end("")
            return False
        self._client.write_eof()
        return True

    def on_upstream_lost(self, error: Exception | None) -> None:
        self._end("" if self._actor_ended else "broken")

    def on_upstream_full(self, is_full: bool) -> None:
        if is_full:
            self._client.pause(self._client.UPSTREAM)
        else:
            self._client.resume(self._client.UPSTREAM)

    def on_client_full(self, is_full: bool) -> None:
        if is_full:
            self._upstream.pause()
        else:
            self._upstream.resume()

    def on_expired(self) -> None:
        quiet = self._parts.settings.websocket_quiet_s
        if self._from_client is not None and quiet and self._parts.now - self._data_at >= quiet:
            self._close_by_frame(CloseCode.GOING_AWAY, "nothing was said for a while", "quiet")
        else:
            self._close_by_frame(CloseCode.GOING_AWAY, "idle", "no-answer")

    def cut(self) -> None:
        if self._parts.is_draining:
            self._close_by_frame(CloseCode.RESTART, "this gateway is going away", "cut")
        else:
            self._close_by_frame(CloseCode.GOING_AWAY, "the actor is being stopped", "cut")

    def abort(self) -> None:
        self._end("client-left")

    def _close_by_frame(self, code: CloseCode, text: str, reason: str) -> None:
        """A frame that has begun can't be ended by us: that side sees no more than the end."""
        if self._from_actor is not None and self._from_actor.may_close:
            self._client.write(close_frame(code, text, masked=False))
        if self._from_client is not None and self._from_client.may_close:
            self._upstream.write(close_frame(CloseCode.GOING_AWAY, "closed", masked=True))
        self._end(reason)

    def _end(self, reason: str) -> None:
        # A close after what was written went out, both ways: `abort` would cut its tail.
        self._upstream.close_after_writes()
        self._exchange.upstream = None
        self._exchange.end_tunnel(self._bytes_in, self._bytes_out, reason)
        if self._has_half_close or self._client_ended:
            self._client.close()
        else:
            # What it sends meanwhile is dropped: to close over it would lose the close frame.
            self._client.on_answered(keep=False, whole=False)

    def _touch(self, frames: Frames | None, data: bytes) -> None:
        if frames is None or frames.feed(data):
            self._data_at = self._parts.now
            self._ticket.touch()
        self._expect_more()

    def _expect_more(self) -> None:
        """Two budgets, one timer: any byte keeps off the first, only data the second (A21, A31)."""
        settings, now = self._parts.settings, self._parts.now
        due = now + settings.stream_idle_s if settings.stream_idle_s else 0.0
        if self._from_client is not None and settings.websocket_quiet_s:
            quiet = self._data_at + settings.websocket_quiet_s
            due = min(due, quiet) if due else quiet
        self._client.expires = self._exchange.due(due)
