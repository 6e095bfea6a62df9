"""What a chunk is called, and which are holes."""

from lifecycle.snapshots.chunks import CHUNK_BYTES, ID_BYTES, chunk_id, chunk_start, is_hole


def test_equal_contents_have_equal_ids_only_under_one_key() -> None:
    one, other = bytes(32), bytes(31) + b"\1"
    assert chunk_id(one, b"data") == chunk_id(one, b"data")
    assert chunk_id(one, b"data") != chunk_id(other, b"data")
    assert chunk_id(one, b"data") != chunk_id(one, b"datb")
    assert len(chunk_id(one, b"")) == ID_BYTES


def test_only_zeros_are_a_hole() -> None:
    assert is_hole(bytes(CHUNK_BYTES)) and is_hole(bytes(7))
    assert not is_hole(bytes(CHUNK_BYTES - 1) + b"\1")
    assert not is_hole(b"\1" + bytes(6))


def test_cuts_stand_at_fixed_places() -> None:
    assert [chunk_start(n) for n in (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES)] == [0, 0, 0, CHUNK_BYTES]
