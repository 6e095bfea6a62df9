"""Answers of a policy's own: redirects by prefix and port, and fields that CORS adds to them."""

import pytest

from gateway.egress import answering
from gateway.egress.config.model import ANY, Direct, Edits, Match, Redirect, Route
from gateway.egress.gate import Passage
from gateway.egress.refusals import Answer, Refusal, Refused
from tests.gateway.egress.documents import ask


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        (Redirect(scheme="https"), "https://a.com/v1/x?y"),
        (Redirect(host="b.com"), "http://b.com/v1/x?y"),
        (Redirect(port=8443, scheme="https"), "https://a.com:8443/v1/x?y"),
        (Redirect(full_path="/z"), "http://a.com:81/z?y"),
        (Redirect(prefix="/w"), "http://a.com:81/w/x?y"),
    ],
)
def test_where_it_leads(redirect: Redirect, location: str) -> None:
    asked = ask("a.com", "/v1/x?y", port=81)
    found = answering.redirected(redirect, Match(prefix="/v1"), asked)
    assert (found.status, dict(found.headers)) == (302, {"location": location})


def test_a_prefix_is_rewritten_only_where_one_matched() -> None:
    with pytest.raises(Refusal) as caught:
        answering.redirected(Redirect(prefix="/w"), Match(exact="/v1"), ask("a.com", "/v1"))
    assert caught.value.what is Refused.FILTERS
    assert answering.with_prefix("/a/b", Match(prefix="/a"), "/") == "/b"
    assert answering.with_prefix("/a", ANY, "/c") == "/c/a"


def test_a_direct_answer_gets_what_the_gate_adds() -> None:
    route = Route(name="r", direct=Direct(status=204))
    made = answering.direct(route, ask())
    passage = Passage(ask=ask(), fields=[], edits=(Edits(set=(("x-a", "1"),)),))
    assert answering.with_edits(made, passage) == Answer(status=204, headers=(("x-a", "1"),))
