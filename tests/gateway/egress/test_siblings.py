"""Calls between actors: who may, and a field that says who calls."""

import jwt
import pytest

from gateway.egress.ask import Ask
from gateway.egress.forwarding import Forward
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.siblings import FIELD, MOST_HOPS, MOST_OPEN, Siblings
from tests.gateway.egress.documents import ask, document

SEED = b"s" * 32


def _siblings() -> Siblings:
    made = Siblings(("actors.example.com",), SEED)
    made.gateway = ("127.0.0.1", 8080)
    return made


def _forward(made: Ask, rules: str = "", open_calls: int = 0) -> Forward:
    actors = document(f"rouse: {{actors: {{rules: {rules}}}}}").actors if rules else None
    return _siblings().forward(made, actors, frozenset(), open_calls)


def test_the_caller_is_signed_for_the_callee_whatever_it_said_itself() -> None:
    made = _forward(ask("c2.demo.actors.internal", "/x", fields=[(FIELD, "forged")]))
    assert made.authority == "c2.demo.actors.example.com" and made.once
    (said,) = [value for name, value in made.fields if name == FIELD]
    key = _siblings().public_pem
    told = jwt.decode(said, key, algorithms=["EdDSA"], audience="demo/c2", issuer="rouse")
    assert told["sub"] == "demo/c1" and told["uid"] == "u1"
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(said, key, algorithms=["EdDSA"], audience="demo/c3")


def test_a_port_may_be_named() -> None:
    made = _forward(ask("debug--c2.demo.actors.example.com"))
    assert made.authority == "debug--c2.demo.actors.example.com"


@pytest.mark.parametrize(
    ("made", "rules", "what"),
    [
        (ask("c2.other.actors.internal"), "", Refused.FORBIDDEN),
        (ask("c2.demo.actors.internal"), "[{deny: 'true'}]", Refused.FORBIDDEN),
        (ask("c2.demo.actors.internal", scheme="https"), "", Refused.FORBIDDEN),
        (ask("demo.actors.internal"), "", Refused.INVALID),
        (ask("a.b.demo.actors.internal"), "", Refused.INVALID),
        (ask("c2.demo.actors.internal", "/../x"), "", Refused.INVALID),
    ],
)
def test_refused(made: Ask, rules: str, what: Refused) -> None:
    with pytest.raises(Refusal) as caught:
        _forward(made, rules)
    assert caught.value.what is what


def test_rules_may_allow_another_namespace() -> None:
    rules = """['destination.hostname.endsWith(".other.actors.internal")']"""
    assert _forward(ask("c2.other.actors.internal"), rules).authority.startswith("c2.other.")


def test_a_request_that_is_handed_on_for_ever_comes_to_an_end() -> None:
    made, field = Siblings(("actors.test",), b"k" * 32), "forged"
    made.gateway = ("127.0.0.1", 1)

    def hand_on() -> str:
        # c1 hands what it got on to itself, fields and all.
        asked = ask("c1.demo.actors.internal", fields=[(FIELD, field)])
        forward = made.forward(asked, None, frozenset(), 0)
        return dict(forward.fields)[FIELD]

    for _ in range(MOST_HOPS):
        field = hand_on()
    with pytest.raises(Refusal, match="circle"):
        hand_on()
    field = ""  # whoever begins anew is at the beginning
    assert hand_on()


def test_circles_come_to_an_end() -> None:
    with pytest.raises(Refusal, match="circle"):
        _forward(ask("c2.demo.actors.internal"), open_calls=MOST_OPEN)


def test_other_hosts_are_none_of_them() -> None:
    assert not _siblings().is_one("evilactors.internal") and not _siblings().is_one("a.com")
