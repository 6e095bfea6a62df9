"""The RPC's frames, as values: cut anywhere they arrive whole, too long they are refused early."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rpc import frames
from lifecycle.rpc.frames import BadFrame, Call, Kind, Reply, Splitter


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(min_value=1, max_value=700))
def test_frames_arrive_whole_however_the_bytes_are_cut(bodies: list[bytes], piece: int) -> None:
    stream = b"".join(frames.frame(body) for body in bodies)
    splitter, found = Splitter(1000), []
    for at in range(0, len(stream), piece):
        found += [frames.read(body, bytes) for body in splitter.feed(stream[at : at + piece])]
    assert found == bodies


def test_a_frame_that_is_too_long_is_refused_by_its_first_four_bytes() -> None:
    with pytest.raises(BadFrame, match="101 bytes, where 100"):
        list(Splitter(100).feed((101).to_bytes(4, "big")))


def test_a_limit_raised_after_one_frame_holds_for_the_next() -> None:
    splitter = Splitter(10)
    stream = frames.frame(b"small") + frames.frame(b"x" * 50)
    found = []
    for body in splitter.feed(stream):
        found.append(frames.read(body, bytes))
        splitter.limit = 100
    assert found == [b"small", b"x" * 50]


def test_a_call_and_a_reply_come_back_as_they_were() -> None:
    call = Call(7, "wake", frames.raw({"actor": ["demo", "c1"]}))
    [body] = Splitter(1000).feed(frames.frame(call))
    assert frames.read(body, Call) == call
    reply = Reply(7, Kind.REFUSED, frames.raw(None))
    [body] = Splitter(1000).feed(frames.frame(reply))
    assert frames.read(body, Reply) == reply


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"\x93\x01\x09\xc0", b"GET / HTTP/1.1"])
def test_what_is_no_record_of_ours_is_a_bad_frame(body: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.read(body, Reply)


def test_a_proof_fits_one_key_one_side_and_one_pair_of_nonces() -> None:
    a, b = frames.new_nonce(), frames.new_nonce()
    shown = frames.proof("key", "caller", a, b)
    assert frames.is_proof(shown, frames.proof("key", "caller", a, b))
    others = [("other", "caller", a, b), ("key", "worker", a, b), ("key", "caller", b, a)]
    assert not any(frames.is_proof(shown, frames.proof(*other)) for other in others)
