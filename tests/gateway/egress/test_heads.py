"""Edits: what never goes on, what may be set, and that no value ends its line."""

import pytest

from gateway.egress import heads
from gateway.egress.cel import Expression
from gateway.egress.config.model import Computed, Edits
from tests.gateway.egress.documents import ask


def test_hop_by_hop_and_ours_never_go_on() -> None:
    fields = [(name, "x") for name in ("proxy-authorization", "te", "rouse-caller", "rouse_caller",
                                       "x-a", "connection", "x-hop", "host")]  # fmt: skip
    assert heads.kept(fields, frozenset((b"x-hop",))) == [("x-a", "x")]


def test_add_then_set_then_remove() -> None:
    edits = Edits(add=(("a", "2"),), set=(("b", "3"),), remove=("c",))
    made = heads.edited([("a", "1"), ("b", "1"), ("b", "2"), ("c", "1")], (edits,))
    assert made == [("a", "1"), ("a", "2"), ("b", "3")]


def test_an_expression_that_fails_removes_its_header() -> None:
    edits = Computed(set=(("a", Expression('request.headers["nope"]', "p")),))
    assert heads.computed([("a", "1"), ("b", "1")], (edits,), ask()) == [("b", "1")]


def test_a_computed_value_cannot_end_its_line() -> None:
    edits = Computed(set=(("a", Expression('"x\\r\\nevil: 1"', "p")),))
    assert heads.computed([], (edits,), ask()) == []
    with pytest.raises(ValueError, match="can't carry"):
        heads.set_field([], "a", "x\r\nevil: 1")


def test_pseudo_headers_change_the_ask() -> None:
    made = ask("a.com", "/x")
    edits = Computed(
        set=((":path", Expression('"/y"', "p")), (":authority", Expression('"b.com:81"', "p")))
    )
    heads.computed([], (edits,), made)
    assert (made.host, made.port, made.target) == ("b.com", 81, "/y")


def test_bytes() -> None:
    raw = heads.to_bytes("GET", "/", "h", [("a", "b")], upgrade="websocket")
    assert raw == (
        b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    )
