"""Bytes both ways: a CONNECT that stays shut, or what an exchange became by an upgrade."""

from typing import TYPE_CHECKING

from gateway.egress.hello import LONGEST, NoHello, read_hello
from gateway.egress.hosts import BadHost, normalized

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.egress.seams import Caller
    from gateway.egress.upstream import Upstream
    from gateway.egress.wire import Wire


class Tunnel:
    """Both sides are given over to it; when either ends, what was written is sent and both end.

    Data keeps the actor awake; an open tunnel on which nothing moves does not (P5). `expected`:
    the host of CONNECT, which the name in the first bytes must be."""

    def __init__(
        self,
        client: "Wire",
        upstream: "Upstream",
        caller: "Caller",
        *,
        ended: "Callable[[int, int, str], None]",
        expected: str | None = None,
        moved: "Callable[[], None]" = lambda: None,
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._caller = caller
        self._ended: Callable[[int, int, str], None] | None = ended
        self._moved = moved
        self._expected = expected
        self._held = b""
        self._in = self._out = 0
        self._client_ended = self._upstream_ended = False
        upstream.user = self

    def __repr__(self) -> str:
        return f"<Tunnel {self._in} bytes out of the actor, {self._out} into it>"

    # From the actor.

    def on_request(self, data: bytes) -> None:
        if self._expected is not None:
            self._held += data
            if not self._is_greeted(self._expected):
                return
            data, self._held, self._expected = self._held, b"", None
        self._in += len(data)
        self._touch()
        self._upstream.write(data)

    def _is_greeted(self, expected: str) -> bool:
        try:
            hello = read_hello(self._held)
            if hello is None:
                if len(self._held) > LONGEST:
                    raise NoHello("a ClientHello without an end")
                return False
            if hello.name is not None and normalized(hello.name) != expected:
                raise NoHello(f"SNI is not {expected}")
        except (NoHello, BadHost) as error:
            # 200 was said, so all that can be done is to end it; the log says why.
            self._end(str(error))
            return False
        return True

    def on_request_end(self) -> None:
        self._client_ended = True
        if self._upstream_ended:
            self._end("")
        else:
            self._upstream.write_end()

    def on_client_lost(self) -> None:
        self._end("client left")

    def on_client_full(self, is_full: bool) -> None:
        if is_full:
            self._upstream.pause()
        else:
            self._upstream.resume()

    # From the outside.

    def on_answer(self, data: bytes) -> None:
        self._out += len(data)
        self._touch()
        self._client.write(data)

    def on_answer_end(self) -> None:
        self._upstream_ended = True
        if self._client_ended:
            self._end("")
        else:
            self._client.write_end()
            if not self._client.is_open:
                self._end("")

    def on_upstream_lost(self) -> None:
        self._end("" if self._upstream_ended else "the other side broke it off")

    def on_upstream_full(self, is_full: bool) -> None:
        if is_full:
            self._client.pause()
        else:
            self._client.resume()

    def on_expired(self) -> None:
        self._end("nothing moved for too long")

    def cut(self) -> None:
        self._end("cut")

    def _touch(self) -> None:
        self._caller.touch()
        self._moved()

    def _end(self, why: str) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        self._upstream.user = None
        self._upstream.close()
        self._client.close()
        ended(self._in, self._out, why)
