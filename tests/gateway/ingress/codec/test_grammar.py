"""Blocks of fields and the values in them; whole heads are test_request's and test_response's."""

import pytest

from gateway.ingress.codec.grammar import (
    Fault,
    Malformed,
    check_block,
    check_connection,
    check_unfinished,
    parse_chunked,
    parse_length,
    parse_list,
)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\r\nA: 1\r\n folded", "folded"),
        (b"\r\nA: 1\r\n\tfolded", "folded"),
        (b"\r\nA : 1", "space"),
        (b"\r\nA: 1\x00", "NUL"),
        (b"\r\nA: 1\rB: 2", "CRLF"),
        (b"\r\nA: 1\nB: 2", "CRLF"),
        (b"\r\nno colon", "no field"),
        (b"\r\n: no name", "no field"),
        (b"\r\nA: \x7f", "no field"),
        (b"\r\nA\xc3\xa4: 1", "no field"),
    ],
)
def test_a_block_that_two_parsers_could_read_differently_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        check_block(block)


@pytest.mark.parametrize("block", [b"", b"\r\nA:", b"\r\nA:b\r\nB: \xc3\xa4\t c "])
def test_a_good_block_passes(block: bytes) -> None:
    check_block(block)


def test_256_fields_pass_and_257_do_not() -> None:
    check_block(b"\r\nA: 1" * 256)
    with pytest.raises(Malformed) as caught:
        check_block(b"\r\nA: 1" * 257)
    assert caught.value.fault is Fault.HEAD_TOO_LARGE


@pytest.mark.parametrize("values", [[b"1", b"1"], [b"1, 1"], [b"+1"], [b"-1"], [b""], [b"0x1"]])
def test_a_content_length_that_is_not_one_number_is_refused(values: list[bytes]) -> None:
    with pytest.raises(Malformed):
        parse_length(values)


def test_a_huge_content_length_is_refused_before_it_is_a_number() -> None:
    assert parse_length([b"9" * 15]) == 10**15 - 1
    with pytest.raises(Malformed):
        parse_length([b"9" * 16])


@pytest.mark.parametrize(
    "values",
    [[b"gzip"], [b"gzip, chunked"], [b"chunked, chunked"], [b"chunked"] * 2, [b"identity"]],
)
def test_a_coding_other_than_chunked_is_not_implemented(values: list[bytes]) -> None:
    with pytest.raises(Malformed) as caught:
        parse_chunked(values, has_length=False)
    assert caught.value.fault is Fault.NOT_IMPLEMENTED


def test_chunked_is_read_without_regard_to_case_and_never_beside_a_length() -> None:
    assert parse_chunked([b"Chunked"], has_length=False)
    with pytest.raises(Malformed):
        parse_chunked([b"chunked"], has_length=True)


def test_connection_may_not_name_what_frames_the_message() -> None:
    check_connection(parse_list([b"close, X-Mine"]))
    with pytest.raises(Malformed):
        check_connection(parse_list([b"close , Content-Length"]))


def test_an_unfinished_head_is_refused_as_soon_as_nothing_can_save_it() -> None:
    check_unfinished(b"GET / HTTP/1.1\r\nHost: a\r")
    for data in (b"GET / HTTP/1.1\nHost: a\n\n", b"\x16\x03\x01\x00", b"x" * 70_000):
        with pytest.raises(Malformed):
            check_unfinished(data)
