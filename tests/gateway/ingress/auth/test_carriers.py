"""Carriers: credentials are found where they may stand, and nothing else is disturbed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.auth.carriers import CarrierNames, Carriers, Found
from gateway.ingress.seams import Reason, Refusal

CARRIERS = Carriers(CarrierNames())
BLOCK = b"\r\nHost: a\r\nCookie: a=1; rouse-token=T; b=2\r\nAccept: */*"


def test_a_credential_is_found_in_field_cookie_and_query() -> None:
    block = b"\r\nHost: a\r\nauthorization:  bearer  H \r\nCookie: a=1; rouse-token=C"
    found = CARRIERS.find(block, b"/p?a=1&rouse_token=Q%2B")
    assert found == Found(header=b"H", cookies=(b"C",), query=b"Q+")
    assert CARRIERS.find(b"\r\nHost: a", b"/rouse_token") == Found()


def test_another_scheme_of_authorization_is_the_actors_own() -> None:
    assert CARRIERS.find(b"\r\nAuthorization: Basic eDp5", b"/") == Found()


def test_a_field_of_its_own_may_hold_the_bare_credential() -> None:
    carriers = Carriers(CarrierNames(header="X-Pass", cookie="", query=""))
    for value in (b"T", b"Bearer T"):
        block = (
            b"\r\nX-Pass: " + value + b"\r\nAuthorization: Bearer theirs\r\nCookie: rouse-token=C"
        )
        assert carriers.find(block, b"/?rouse_token=Q") == Found(header=b"T")
        assert b"X-Pass" not in carriers.cut_block(block, with_field=True)
        assert b"theirs" in carriers.cut_block(block, with_field=True)


@pytest.mark.parametrize(
    ("block", "target"),
    [
        (b"\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b", b"/"),
        (b"\r\nHost: a", b"/?rouse_token=a&rouse_token=b"),
    ],
)
def test_a_credential_that_is_there_twice_is_refused(block: bytes, target: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        CARRIERS.find(block, target)
    assert caught.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b"rouse-token=T", b""),
        (b"rouse-token=T; b=2", b"\r\nCookie: b=2"),
        (b"a=1; rouse-token=T", b"\r\nCookie: a=1"),
        (b"a=1;rouse-token=T;b=2", b"\r\nCookie: a=1;b=2"),
        (b"rouse-token=T; rouse-token=U", b""),
        (b"x-rouse-token=T", b"\r\nCookie: x-rouse-token=T"),
        (b"a=rouse-token=T", b"\r\nCookie: a=rouse-token=T"),
    ],
)
def test_only_our_cookie_is_cut(line: bytes, left: bytes) -> None:
    block = b"\r\nHost: a\r\nCookie: " + line + b"\r\nAccept: */*"
    cut = CARRIERS.cut_block(block, with_field=False)
    assert cut == b"\r\nHost: a" + left + b"\r\nAccept: */*"


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/?rouse_token=T", b"/"),
        (b"/p?rouse_token=T&a=1", b"/p?a=1"),
        (b"/p?a=1&rouse_token=T&b", b"/p?a=1&b"),
        (b"/p?a=1&xrouse_token=T", b"/p?a=1&xrouse_token=T"),
        (b"/rouse_token=T", b"/rouse_token=T"),
    ],
)
def test_only_our_parameter_is_cut(target: bytes, left: bytes) -> None:
    assert CARRIERS.cut_target(target) == left


def test_a_referer_does_not_tell_the_actor_what_the_query_did_not() -> None:
    block = b"\r\nReferer: http://a/p?rouse_token=T&a=1\r\nAccept: */*"
    cut = CARRIERS.cut_block(block, with_field=False)
    assert cut == b"\r\nReferer: http://a/p?a=1\r\nAccept: */*"


@given(
    st.lists(st.sampled_from([b"a=1", b"rouse-token=SECRET", b"b=x y", b"", b" c"])),
    st.lists(st.sampled_from([b"a", b"rouse_token=SECRET", b"b=%20", b""])),
)
def test_whatever_stands_beside_it_no_credential_is_left_and_the_rest_stays(
    cookies: list[bytes], pairs: list[bytes]
) -> None:
    block = b"\r\nHost: a\r\nCookie: " + b"; ".join(cookies) + b"\r\nAccept: */*"
    cut = CARRIERS.cut_block(block, with_field=True)
    assert b"SECRET" not in cut
    for cookie in set(cookies) - {b"rouse-token=SECRET"}:
        assert cookie in cut
    target = CARRIERS.cut_target(b"/p?" + b"&".join(pairs))
    assert b"SECRET" not in target and target.startswith(b"/p")
