"""HTTP/2, to an origin that speaks nothing else. Who uses the connection writes and reads HTTP/1.1
as on any other; here it crosses over, one request at a time.

One at a time as on a kept HTTP/1.1 connection: actors share none, and few origins need this. So
flow control of the stream is that of the connection, and a broken stream costs nobody else.
"""

from collections import deque
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error, TooManyStreamsError
from h2.settings import SettingCodes, Settings

from gateway.egress.crossing import Answer, GoAways, request_of
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.upstream import Upstream
from gateway.egress.wire import HIGH_WATER, Wire
from gateway.ingress.codec.body import NO_BODY, Body, ChunkedBody
from gateway.ingress.codec.grammar import MAX_HEAD, Malformed

if TYPE_CHECKING:
    from gateway.egress.upstream import Upstreams

_WINDOW = 1024 * 1024
"""Of what may be on its way to us: the 64 KiB of the default are slow over any distance."""
_MOST_ASKED = 10_000
"""Pings and settings that a server has us answer, and sends nothing else."""


class Http2Upstream(Upstream):
    protocol = "h2"
    chosen = ("h2",)

    def __init__(self, home: "Upstreams", key: object) -> None:
        super().__init__(home, key)
        made = H2Connection(H2Configuration(client_side=True, header_encoding=False))
        made.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
            },
        )
        self._h2 = made
        self._goaways = GoAways()
        self._stream: int | None = None
        """Of the request that is open."""
        self._body: Body = NO_BODY
        """Of the request, as it is written to us."""
        self._answer = Answer(b"")
        self._waiting: deque[bytes] = deque()
        """Of the request, until the server's window lets it go."""
        self._waiting_size = 0
        self._is_stuffed = self._is_choked = False
        self._asked = 0

    def on_ready(self) -> None:
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._flush_frames()
        super().on_ready()

    @property
    def is_reusable(self) -> bool:
        return self.is_open and self._goaways.last_stream is None and self._stream is None

    # The way out.

    def write(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            if self._stream is None:
                end = data.index(b"\r\n\r\n")  # a plan's head is written whole
                self._open(data[:end])
                data = data[end + 4 :]
            if data:
                self._take_body(data)
            self._send_body()
        except Malformed as error:
            self._give_up(Refusal(Refused.UPGRADE, error.message))
            return
        except TooManyStreamsError:
            self.is_untouched = True
            self._give_up(Refusal(Refused.UPSTREAM, "the server takes no stream now"))
            return
        except H2Error:
            self._give_up(Refusal(Refused.UPSTREAM, "the request is none of HTTP/2"))
            return
        self._flush_frames()

    def _open(self, head: bytes) -> None:
        fields, self._body = request_of(head, b"https")
        self._answer = Answer(fields[0][1])
        self._stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._stream, fields, end_stream=self._body.is_done)

    def _take_body(self, data: bytes) -> None:
        body = self._body
        body.feed(data, 0)
        if isinstance(body, ChunkedBody):
            data = body.take_data()
        if data:
            self._waiting.append(data)
            self._waiting_size += len(data)

    def _send_body(self) -> None:
        stream, h2 = self._stream, self._h2
        if stream is None or self._body is NO_BODY:
            return
        while self._waiting:
            piece = self._waiting.popleft()
            room = min(h2.local_flow_control_window(stream), h2.max_outbound_frame_size)
            if room <= 0:
                self._waiting.appendleft(piece)
                break
            if len(piece) > room:
                self._waiting.appendleft(piece[room:])
                piece = piece[:room]
            self._waiting_size -= len(piece)
            is_last = self._body.is_done and not self._waiting
            h2.send_data(stream, piece, end_stream=is_last)
            if is_last:
                self._body = NO_BODY
        if self._body.is_done and self._body is not NO_BODY and not self._waiting:
            h2.end_stream(stream)
            self._body = NO_BODY
        self._set_full(stuffed=self._waiting_size > HIGH_WATER, choked=self._is_choked)

    def on_full(self, is_full: bool) -> None:
        self._set_full(stuffed=self._is_stuffed, choked=is_full)

    def _set_full(self, *, stuffed: bool, choked: bool) -> None:
        was_full = self._is_stuffed or self._is_choked
        self._is_stuffed, self._is_choked = stuffed, choked
        if was_full != (stuffed or choked):
            super().on_full(stuffed or choked)

    def _flush_frames(self) -> None:
        data = self._h2.data_to_send()
        if data:
            Wire.write(self, data)

    # The way back.

    def on_data(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(self._goaways.feed(data))
            text = b"".join([self._text_of(event) for event in events])
            self._send_body()  # a window may have opened
        except (H2Error, Malformed):
            self._flush_frames()
            self._give_up(Refusal(Refused.BAD_ANSWER, "the answer is none of HTTP/2"))
            return
        self._flush_frames()
        if self._asked > _MOST_ASKED:
            self._give_up(Refusal(Refused.BAD_ANSWER, "the server asks and does not answer"))
            return
        if text and self.user is not None:
            self.user.on_answer(text)
        self._look_for_end()

    def _text_of(self, event: Event) -> bytes:
        """Raises Malformed."""
        if isinstance(event, PingReceived | RemoteSettingsChanged):
            self._asked += 1
        # What belongs to a request of before, which was given up, is nobody's.
        if self._stream is None or getattr(event, "stream_id", None) != self._stream:
            return b""
        match event:
            case InformationalResponseReceived():
                return self._answer.head(event.headers or (), is_last=False)
            case ResponseReceived():
                is_last = event.stream_ended is not None
                return self._answer.head(event.headers or (), is_last=is_last)
            case DataReceived():
                self._asked = 0
                size = event.flow_controlled_length or 0
                self._h2.acknowledge_received_data(size, self._stream)
                return self._answer.data(event.data or b"")
            case TrailersReceived():
                return self._ended(self._answer.end(event.headers or ()))
            case StreamEnded():
                return self._ended(self._answer.end())
            case StreamReset():
                self._reset(event.error_code)
            case _:
                pass
        return b""

    def _ended(self, text: bytes) -> bytes:
        stream, self._stream = self._stream, None
        if stream is not None and self._body is not NO_BODY:
            # Answered before it had all of the request: it wants no more of that.
            self._h2.reset_stream(stream, ErrorCodes.NO_ERROR)
            self._body = NO_BODY
            self._waiting.clear()
            self._waiting_size = 0
        return text

    def _reset(self, code: ErrorCodes | int | None) -> None:
        self._stream = None
        self.is_untouched = code == ErrorCodes.REFUSED_STREAM
        told = code.name if isinstance(code, ErrorCodes) else str(code)
        self.failure = Refusal(_BY_CODE.get(code, Refused.UPSTREAM), f"reset by the server: {told}")

    def _look_for_end(self) -> None:
        """The server broke our request off, or says that it never looked at it."""
        last = self._goaways.last_stream
        if self._stream is not None and last is not None and self._stream > last:
            self.is_untouched = True
            self.failure = Refusal(Refused.UPSTREAM, "the server is going away")
        if self.failure is not None:
            self._give_up(self.failure)
        elif self.user is None and not self.is_reusable:
            self.close()

    def _give_up(self, failure: Refusal) -> None:
        self.failure = failure
        user, self.user = self.user, None
        self.abort()
        if user is not None:
            user.on_upstream_lost()

    def close(self) -> None:
        if self.is_open:
            self._h2.close_connection()
            self._flush_frames()
        super().close()


_BY_CODE: dict[object, Refused] = {
    ErrorCodes.PROTOCOL_ERROR: Refused.BAD_ANSWER,
    ErrorCodes.INTERNAL_ERROR: Refused.BAD_ANSWER,
    ErrorCodes.FLOW_CONTROL_ERROR: Refused.BAD_ANSWER,
    ErrorCodes.COMPRESSION_ERROR: Refused.BAD_ANSWER,
    ErrorCodes.FRAME_SIZE_ERROR: Refused.BAD_ANSWER,
    ErrorCodes.STREAM_CLOSED: Refused.BAD_ANSWER,
}
"""What is no fault of the call is 502; the rest is 503: it may be sent again."""
