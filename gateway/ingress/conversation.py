"""Conversation: whoever has a client's connection and, for a time, an actor's: an exchange, or the
tunnel that it became. What the two connections tell it.

A base class and not a Protocol: compiled, a call of it is a jump through a table.
"""

from abc import ABC, abstractmethod


class Conversation(ABC):
    __slots__ = ("is_request_done",)

    def __init__(self) -> None:
        self.is_request_done = False
        """What the client sends from here on is the next request."""

    # --- the client's connection tells -------------------------------------------------------

    @abstractmethod
    def on_request_data(self, data: bytes) -> None: ...

    @abstractmethod
    def on_client_full(self, is_full: bool) -> None:
        """What was written to the client waits in our buffers; or goes on."""

    @abstractmethod
    def on_client_end(self) -> bool:
        """The client sends no more. True keeps the connection open for what we still send."""

    @abstractmethod
    def on_expired(self) -> None: ...

    @abstractmethod
    def cut(self) -> None: ...

    @abstractmethod
    def abort(self) -> None: ...

    # --- the actor's connection tells --------------------------------------------------------

    @abstractmethod
    def on_answer(self, data: bytes) -> None: ...

    @abstractmethod
    def on_answer_end(self) -> bool:
        """The other side sends no more. True keeps the connection open for what we still send."""

    @abstractmethod
    def on_upstream_lost(self, error: Exception | None) -> None: ...

    @abstractmethod
    def on_upstream_full(self, is_full: bool) -> None:
        """What was written waits in our buffers, so its source should pause; or goes on."""
