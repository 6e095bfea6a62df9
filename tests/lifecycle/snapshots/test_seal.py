"""What was sealed opens only as what it was, where it was; P6 begins here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.snapshots.keys import Keys
from lifecycle.snapshots.seal import HEAD_BYTES, MANIFEST, PACK, Damaged, Seal

KEYS = Keys(bytes(32)).of("demo")
KEY = "demo/u-1/p/1-a"


def sealed(data: bytes) -> bytes:
    seal = Seal.new(KEYS, KEY, PACK)
    return seal.head + seal.shut(0, data, label=b"id")


def opened(
    body: bytes, *, key: str = KEY, namespace: str = "demo", master: bytes = bytes(32)
) -> bytes:
    seal = Seal.read(Keys(master).of(namespace), key, PACK, body)
    return seal.open(0, body[HEAD_BYTES:], 1 << 20, label=b"id")


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens(data: bytes) -> None:
    assert opened(sealed(data)) == data


BODY = sealed(b"some contents that compress " * 20)


@given(st.integers(0, len(BODY) * 8 - 1))
def test_any_flipped_bit_is_found(bit: int) -> None:
    broken = bytearray(BODY)
    broken[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        opened(bytes(broken))


@given(st.integers(0, len(BODY) - 1))
def test_any_truncation_is_found(length: int) -> None:
    with pytest.raises(Damaged):
        opened(BODY[:length])


def test_bytes_at_the_end_are_found() -> None:
    with pytest.raises(Damaged):
        opened(BODY + b"\0")


def test_an_object_under_another_name_does_not_open() -> None:
    for key in ("demo/u-1/p/1-b", "demo/u-2/p/1-a"):
        with pytest.raises(Damaged, match="not written under this name"):
            opened(BODY, key=key)


def test_another_namespace_cannot_open_it() -> None:
    with pytest.raises(Damaged, match="not written under this name"):
        opened(BODY, namespace="other")


def test_another_master_key_is_said_by_its_id() -> None:
    other = Keys(b"\1" * 32)
    with pytest.raises(Damaged, match=KEYS.key_id.hex()) as refused:
        opened(BODY, master=b"\1" * 32)
    assert other.key_id.hex() in str(refused.value)


def test_another_version_is_said() -> None:
    with pytest.raises(Damaged, match="format version 2"):
        opened(BODY[:6] + b"\2" + BODY[7:])


def test_a_pack_is_no_manifest() -> None:
    with pytest.raises(Damaged, match="another kind"):
        Seal.read(KEYS, KEY, MANIFEST, BODY)


def test_boxes_cannot_be_exchanged() -> None:
    seal = Seal.new(KEYS, KEY, PACK)
    boxes = [seal.shut(n, b"%d" % n, label=b"%d" % n) for n in range(2)]
    with pytest.raises(Damaged):
        seal.open(0, boxes[1], 100, label=b"0")
    with pytest.raises(Damaged):
        seal.open(1, boxes[1], 100, label=b"0")


def test_what_grows_beyond_its_limit_is_not_unpacked() -> None:
    seal = Seal.new(KEYS, KEY, PACK)
    with pytest.raises(Damaged, match="more than it may"):
        seal.open(0, seal.shut(0, bytes(10_000)), 9_999)
