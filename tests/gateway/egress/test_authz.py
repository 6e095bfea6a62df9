"""What a service is asked and what its answer means; that it is really asked is test_opinions'."""

import datetime

import pytest

from gateway.egress import authz
from gateway.egress.cel import CelFailed, Expression
from gateway.egress.config.gate_model import AuthzCache, ExtAuthz, Service
from tests.gateway.egress.documents import ask

SERVICE = Service(host="authz.test", port=80)


def _cel(text: str) -> Expression:
    return Expression(text, "here")


def test_only_what_is_said_is_shown() -> None:
    asked = ask(fields=[("authorization", "a"), ("cookie", "b"), ("x", "c")])
    assert authz.question(ExtAuthz(service=SERVICE), asked).fields == [("authorization", "a")]
    more = ExtAuthz(service=SERVICE, sent=("x",), added=(("y", _cel('"1"')),))
    assert authz.question(more, asked).fields == [("x", "c"), ("y", "1")]


def test_an_added_field_that_fails_is_left_out() -> None:
    rules = ExtAuthz(service=SERVICE, sent=("x",), added=(("x", _cel("request.headers.none")),))
    assert authz.question(rules, ask(fields=[("x", "c")])).fields == []


def test_a_path_that_can_not_be_computed_asks_nobody() -> None:
    for text in ("request.headers.none", "1"):
        with pytest.raises((CelFailed, ValueError)):
            authz.question(ExtAuthz(service=SERVICE, path=_cel(text)), ask())


def test_an_answers_framing_is_not_passed_on() -> None:
    fields = [("content-length", "9"), ("transfer-encoding", "chunked"), ("x-a", "1")]
    verdict = authz.judged(ExtAuthz(service=SERVICE), ask(), 403, fields, b"no")
    assert verdict.refusal is not None and verdict.refusal[1] is not None
    assert verdict.refusal[1].headers == (("x-a", "1"),)


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        ('duration("5s")', 5.0),
        ('duration("-5s")', 0.0),
        ("extauthz.none", 0.0),
        ('"5s"', 0.0),
        ("1", 0.0),
        ("99999999999", 86400.0),
    ],
)
def test_how_long_an_answer_is_kept(ttl: str, seconds: float) -> None:
    cache = AuthzCache(key=(), ttl=_cel(ttl), most=1)
    assert authz.lives_s(cache, ask()) == seconds


def test_a_time_may_be_said_too() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=50)
    asked = ask()
    asked.said["extauthz"] = {"until": later.timestamp()}
    found = authz.lives_s(AuthzCache(key=(), ttl=_cel("extauthz.until"), most=1), asked)
    assert 40 < found <= 50


def test_a_body_may_be_computed() -> None:
    rules = ExtAuthz(service=SERVICE, body=_cel('form.encode({"a": request.method})'))
    assert authz.question(rules, ask()).body == b"a=GET"
    assert authz.as_bytes({"a": 1}) == b'{"a": 1}' and authz.as_bytes(b"x") == b"x"
