"""A tunnel: what an exchange becomes after 101, two streams of bytes that end each for itself."""

from typing import TYPE_CHECKING

from gateway.ingress.parts import Parts
from gateway.ingress.seams import Ticket
from gateway.ingress.upstream import Upstream

if TYPE_CHECKING:
    from gateway.ingress.client import ClientConnection
    from gateway.ingress.exchange import Exchange


class Tunnel:
    """Holds the exchange's ticket until both sides have ended or one of them broke."""

    __slots__ = (
        "_actor_ended",
        "_bytes_in",
        "_bytes_out",
        "_client",
        "_client_ended",
        "_exchange",
        "_has_half_close",
        "_parts",
        "_ticket",
        "_upstream",
    )

    is_request_done = False
    """Whatever the client sends belongs to the tunnel."""

    def __init__(
        self,
        exchange: "Exchange",
        parts: Parts,
        client: "ClientConnection",
        upstream: Upstream,
        ticket: Ticket,
    ) -> None:
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
        upgrade = exchange.head.fields.upgrade.lower()
        self._has_half_close = upgrade != b"websocket"

    def begin(self, early: bytes) -> None:
        """`early` came with the 101; what the client sent before it waits in its buffer."""
        if early:
            self.on_answer(early)
        pending, self._client.buffer = self._client.buffer, b""
        if pending:
            self.on_request_data(pending)
        self._client.resume(self._client.PIPELINED)

    def on_request_data(self, data: bytes) -> None:
        self._bytes_in += len(data)
        self._touch()
        self._upstream.write(data)

    def on_answer(self, data: bytes) -> None:
        self._bytes_out += len(data)
        self._touch()
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
        self._end("no-answer")

    def cut(self) -> None:
        self._end("cut")

    def abort(self) -> None:
        self._end("client-left")

    def _end(self, reason: str) -> None:
        # A close after what was written went out, both ways: `abort` would cut its tail.
        self._upstream.close_after_writes()
        self._exchange.upstream = None
        self._exchange.end_tunnel(self._bytes_in, self._bytes_out, reason)
        self._client.close()

    def _touch(self) -> None:
        self._ticket.touch()
        budget = self._parts.settings.stream_idle_s
        self._client.expires = self._parts.now + budget if budget else 0.0
