"""Frames as other software writes them (websockets), cut into any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.ingress.websocket import CloseCode, Frames, close_frame


def written(opcode: Opcode, data: bytes, mask: bool = False) -> bytes:
    return Frame(opcode, data).serialize(mask=mask)


_DATA = st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT])
_FRAMES = st.one_of(
    st.tuples(_DATA, st.binary(max_size=300)),
    st.tuples(_DATA, st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536])),
    st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125)),
)


@given(st.lists(_FRAMES, max_size=6), st.booleans(), st.lists(st.integers(0, 70_000), max_size=8))
def test_any_split_of_frames_tells_the_same(
    frames: list[tuple[Opcode, bytes]], mask: bool, cuts: list[int]
) -> None:
    text = b"".join(written(opcode, data, mask) for opcode, data in frames)
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    scan = Frames()
    told = [scan.feed(text[a:b]) for a, b in pairwise(edges) if a < b]
    assert any(told) == any(opcode < 8 for opcode, _ in frames)
    assert scan.is_between and scan.may_close and not scan.is_lost


def test_a31_pings_and_pongs_are_no_activity() -> None:
    scan = Frames()
    for byte in written(Opcode.PING, b"are you there", mask=True) + written(Opcode.PONG, b"yes"):
        assert not scan.feed(bytes([byte]))
    assert scan.feed(written(Opcode.TEXT, b"")) and scan.feed(written(Opcode.BINARY, b"x"))


def test_a_ping_inside_a_message_leaves_it_open() -> None:
    scan = Frames()
    assert scan.feed(Frame(Opcode.TEXT, b"he", fin=False).serialize(mask=False))
    assert not scan.feed(written(Opcode.PING, b""))
    # A control frame may stand between the parts of a message (section 5.4), a close frame too.
    assert scan.may_close


def test_no_frame_may_be_put_into_another_or_behind_a_close() -> None:
    scan = Frames()
    text = written(Opcode.TEXT, b"hello")
    scan.feed(text[:1])
    assert not scan.is_between
    scan.feed(text[1:-1])
    assert not scan.is_between
    scan.feed(text[-1:])
    assert scan.may_close
    scan.feed(written(Opcode.CLOSE, Close(1000, "").serialize()))
    assert scan.is_between and not scan.may_close


@pytest.mark.parametrize("text", [b"\x89\x7e\x00\x80", b"\x82\x7f" + b"\xff" * 8])
def test_what_is_no_frame_counts_as_data_and_ends_nowhere(text: bytes) -> None:
    scan = Frames()
    assert scan.feed(text)
    assert scan.feed(b"\x89\x00") and not scan.is_between


@pytest.mark.parametrize("masked", [False, True])
def test_our_close_frame_is_read_by_others(masked: bool) -> None:
    text = close_frame(CloseCode.RESTART, "restart", masked=masked)
    reading = Frame.parse(_reader(text), mask=masked)
    frame = next_result(reading)
    assert frame.opcode is Opcode.CLOSE and Close.parse(bytes(frame.data)) == Close(1012, "restart")
    assert not Frames().feed(text)


def _reader(text: bytes):  # type: ignore[no-untyped-def] # as websockets' generators want it
    position = 0

    def read_exact(size: int):  # type: ignore[no-untyped-def]
        nonlocal position
        piece = text[position : position + size]
        position += size
        return piece
        yield

    return read_exact


def next_result(reading) -> Frame:  # type: ignore[no-untyped-def]
    with pytest.raises(StopIteration) as end:
        next(reading)
    frame = end.value.value
    assert isinstance(frame, Frame)
    return frame
