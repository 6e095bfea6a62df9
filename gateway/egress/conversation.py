"""Conversation: whoever has an actor's connection for a time: an exchange, the tunnel that it
became, or nobody any more."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.egress.wire import Wire


class Conversation(Protocol):
    def on_request(self, data: bytes) -> None: ...
    def on_request_end(self) -> None: ...
    def on_client_lost(self) -> None: ...
    def on_client_full(self, is_full: bool) -> None: ...
    def on_expired(self) -> None: ...
    def cut(self) -> None: ...


LINGER_S = 2.0


class Lingering:
    """After a last word: what the actor still sends is read and dropped, for a moment."""

    def __init__(self, client: "Wire") -> None:
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
