"""Edits of heads as transcripts: a block in, the block that goes on out."""

from ipaddress import ip_network

import pytest

from gateway.ingress.codec.request import scan_fields
from gateway.ingress.codec.response import scan_answer
from gateway.ingress.fields import (
    Trust,
    answered_fields,
    forwarded_fields,
    is_trusted,
    sane_request_id,
    without_chunking,
)


def forward(block: bytes, trust: Trust = Trust.CLIENT) -> bytes:
    return forwarded_fields(scan_fields(b"\r\nHost: h" + block), trust, b"9.9.9.9", b"http")


OWN = b"\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h"


@pytest.mark.parametrize(
    "block",
    [
        b"\r\nConnection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: trailers",
        b"\r\nConnection: X-Mine, x-other\r\nX-MINE: 1\r\nX-Other:",
        b"\r\nExpect: 100-Continue",
        b"\r\nUpgrade: h2c",
        b"\r\nProxy-Authorization: Basic eA==",
        b"\r\nx-forwarded-for: 1\r\nX_Forwarded_For: 2\r\nX-Forwarded-Prefix: /a",
        b"\r\nForwarded: for=1",
        b"\r\nX-Real-IP: 1\r\nX-Forwarded-Port: 1",
        b"\r\nRouse-Actor: a/b\r\nrouse-hop-key: k\r\nROUSE_UID: u\r\nX-Request-Id: r",
    ],
)
def test_a14_what_is_for_this_hop_or_claimed_by_a_stranger_is_removed(block: bytes) -> None:
    assert forward(block) == b"\r\nHost: h" + OWN


def test_everything_else_goes_on_as_it_came() -> None:
    block = (
        b"\r\nTransfer-Encoding: chunked\r\nTraceparent: 00-a\r\nCookie:  a=b \r\nA:\r\nA: 2"
        b"\r\nExpect: tea\r\nX-Expect: 100-continue\r\nConnectionx: 1\r\nTEa: 1"
    )
    assert forward(block) == b"\r\nHost: h" + block + OWN


def test_a14_a_trusted_proxys_chain_is_kept_and_added_to() -> None:
    block = b"\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https"
    assert forward(block + b"\r\nX-Forwarded-Prefix: /p", Trust.PROXY) == (
        b"\r\nHost: h\r\nX-Forwarded-Prefix: /p\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 9.9.9.9"
        b"\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h"
    )


def test_another_relay_of_ours_has_done_it_already() -> None:
    block = b"\r\nX-Forwarded-For: 1.1.1.1\r\nProxy-Authorization: x"
    assert forward(block + b"\r\nRouse-Actor: a/b", Trust.HOP) == b"\r\nHost: h" + block


def answer(block: bytes, *, is_hop: bool = False, keep_wake: bool = True) -> bytes:
    head = scan_answer(b"HTTP/1.1 200 OK" + block + b"\r\n\r\n")
    assert head is not None
    return answered_fields(head, is_hop=is_hop, keep_wake=keep_wake)


def test_an_actor_can_say_nothing_in_our_name() -> None:
    block = b"\r\nRouse-Wake: cold\r\nRouse-Stale: 1\r\nX-Request-Id: r\r\nConnection: x\r\nX: 1"
    assert answer(block + b"\r\nSet-Cookie: a=b") == b"\r\nSet-Cookie: a=b"


def test_a80_a_doors_wake_field_passes_the_edge_unless_the_edge_has_its_own() -> None:
    block = b"\r\nRouse-Wake: cold; total=1\r\nRouse-Other: 1"
    assert answer(block, is_hop=True) == b"\r\nRouse-Wake: cold; total=1"
    assert answer(block, is_hop=True, keep_wake=False) == b""


def test_chunking_is_unsaid_for_http_1_0() -> None:
    assert without_chunking(b"\r\ntransfer-encoding: chunked\r\nTrailer: x\r\nA: 1") == b"\r\nA: 1"


def test_a_request_id_with_anything_odd_in_it_is_not_kept() -> None:
    assert sane_request_id(b"0af7-6519:1/2.x=")
    for text in (b"", b'a"b', b"a b", b"a\xc3", b"x" * 129):
        assert not sane_request_id(text)


def test_only_the_networks_of_the_settings_are_trusted() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert is_trusted("10.1.2.3", networks) and is_trusted("fd00::1", networks)
    assert not is_trusted("11.0.0.1", networks) and not is_trusted("", networks)
    assert not is_trusted("10.1.2.3", ())


def test_a_trusted_proxy_is_the_same_on_a_listener_for_both_families() -> None:
    networks = (ip_network("10.0.0.0/8"),)
    assert is_trusted("10.1.2.3", networks) and is_trusted("::ffff:10.1.2.3", networks)
    assert not is_trusted("::ffff:11.1.2.3", networks) and not is_trusted("::1", networks)
