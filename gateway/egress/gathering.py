"""A request's body, held until the decision that rests on it is made.

What arrived is kept as it came, too, so that it can be sent on byte for byte. A body that trickles
in is given up.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.egress.holding import Lease
from gateway.egress.refusals import Refusal, Refused
from gateway.ingress.codec.body import Body, ChunkedBody, LengthBody
from gateway.ingress.codec.grammar import Malformed

if TYPE_CHECKING:
    import asyncio

    from gateway.egress.ask import Ask
    from gateway.egress.client import ClientConnection
    from gateway.egress.parts import Parts
    from gateway.ingress.codec.request import RequestHead

_IDLE_S = 30.0
_DECIDING_S = 60.0
"""For what else a decision waits for, once it has the body."""
_OVERHEAD = 8
"""What framing may add, at most, to what is looked at: chunks of a few bytes are nobody's."""


class ActorLeft(Exception):
    """Nobody waits for the decision any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    raw: bytes
    """As it came, its framing too."""
    data: bytes
    rest: bytes
    """Of the next request, perhaps."""
    is_whole: bool


async def gather(
    client: "ClientConnection", head: "RequestHead", ask: "Ask", most: int
) -> Gathered:
    """Afterwards the connection is as it was, with all that came in its buffer. Raises Refusal,
    ActorLeft."""
    if not head.fields.has_body:
        return Gathered(raw=b"", data=b"", rest=b"", is_whole=True)
    caller = client.caller
    assert caller is not None
    first = client.take_buffer()
    if not first and head.fields.expects_continue and head.minor == 1:
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if ask.lease is not None:
        ask.lease.give_back()  # it is read once more, from its beginning
    ask.lease = lease = Lease(client.parts.holding, caller.key)
    gathering = Gathering(client, client.parts, head, most, lease)
    client.user, client.expires = gathering, gathering.due
    try:
        if first:
            gathering.on_request(first)
        client.resume()
        found = await gathering.done
    finally:
        if client.user is gathering:
            client.user = None
    client.put_back(found.raw + found.rest + gathering.late)
    client.expires = client.parts.now + _DECIDING_S
    ask.raw_size = len(found.raw)
    return found


class Gathering:
    """The user of a connection while its body is awaited."""

    def __init__(
        self,
        client: "ClientConnection",
        parts: "Parts",
        head: "RequestHead",
        most: int,
        lease: Lease,
    ) -> None:
        self._client, self._parts = client, parts
        self._most, self._lease = most, lease
        self._body: Body = LengthBody(head.fields.length or 0)
        if head.fields.chunked:
            self._body = ChunkedBody(with_spans=True)
        self.late = b""
        """What came between the end and whoever waits for it."""
        self._raw: list[bytes] = []
        self._data: list[bytes] = []
        self._raw_size = self._size = 0
        self.due = parts.now + _IDLE_S
        self.done: asyncio.Future[Gathered] = parts.loop.create_future()

    def __repr__(self) -> str:
        return f"<Gathering {self._size} bytes>"

    def on_request(self, data: bytes) -> None:
        if self.done.done():
            self.late += data
            return
        self.due = self._parts.now + _IDLE_S
        try:
            end = self._body.feed(data, 0)
            piece = data[:end]
            self._raw.append(piece)
            self._raw_size += end
            body = self._body
            inner = body.take_data() if isinstance(body, ChunkedBody) else piece
            self._data.append(inner)
            self._size += len(inner)
            self._lease.take(end + len(inner))
        except Malformed as error:
            self.done.set_exception(Refusal(Refused.INVALID, error.message))
            return
        except Refusal as error:
            self.done.set_exception(error)
            return
        is_too_much = self._size > self._most or self._raw_size > _OVERHEAD * self._most + 4096
        if self._body.is_done or is_too_much:
            self._client.pause()
            self.done.set_result(
                Gathered(
                    raw=b"".join(self._raw),
                    data=b"".join(self._data),
                    rest=data[end:],
                    is_whole=self._body.is_done and not is_too_much,
                )
            )

    def on_request_end(self) -> None:
        self.on_client_lost()
        self._client.abort()

    def on_client_lost(self) -> None:
        if not self.done.done():
            self.done.set_exception(ActorLeft())

    def on_client_full(self, is_full: bool) -> None:
        pass

    def on_expired(self) -> None:
        self.on_client_lost()
        self._client.abort()

    def cut(self) -> None:
        self.on_client_lost()
