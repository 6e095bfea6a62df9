"""Where a caller's credential is found, and that all else stays when it is taken out."""

import pytest

from gateway.egress.ask import Fields
from gateway.egress.callers import showing
from gateway.egress.cel import Expression
from gateway.egress.config.gate_model import Shown
from gateway.egress.config.values import BEARER, Location, Place
from tests.gateway.egress.documents import ask

KEY = Shown(location=Location(place=Place.QUERY, name="key"))
COOKIE = Shown(location=Location(place=Place.COOKIE, name="key"))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ([("authorization", "Bearer a")], "a"),
        ([("authorization", "BEARER  a ")], "a"),
        ([("authorization", "Basic a")], None),
        ([("authorization", "Bearer ")], None),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], None),
        ([], None),
    ],
)
def test_in_a_header(fields: Fields, found: str | None) -> None:
    assert showing.find(Shown(location=BEARER), ask(fields=fields)) == found


def test_in_the_query_and_in_a_cookie() -> None:
    asked = ask("a.com", "/p?x=1&key=a%20b&y=2", fields=[("cookie", "x=1; key=c; y=2")])
    assert (showing.find(KEY, asked), showing.find(COOKIE, asked)) == ("a b", "c")
    fields = showing.take_out(KEY, asked, list(asked.fields))
    assert asked.target == "/p?x=1&y=2"
    assert showing.take_out(COOKIE, asked, fields) == [("cookie", "x=1; y=2")]
    assert asked.headers == {"cookie": "x=1; y=2"}


def test_by_an_expression_nothing_is_taken_out() -> None:
    shown = Shown(expression=Expression('request.headers["x"].split(":")[1]', "here"))
    asked = ask(fields=[("x", "a:b")])
    assert showing.find(shown, asked) == "b" and showing.find(shown, ask()) is None
    assert showing.take_out(shown, asked, asked.fields) == [("x", "a:b")]
