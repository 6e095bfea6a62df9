"""agentgateway's functions in CEL, as documents write them."""

import pytest

from gateway.egress.cel import CelFailed, Expression
from tests.gateway.egress.documents import ask

TOKEN = "e30.eyJzdWIiOiJhbm4ifQ.x"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('json("{\\"a\\": {\\"b\\": 2}}").a.b', 2),
        ('toJson({"a": 1})', '{"a":1}'),
        ('base64.encode("hello")', "aGVsbG8="),
        ('base64.decode("aGVsbG8=")', b"hello"),
        ('url.encode("a b/?")', "a%20b%2F%3F"),
        ('url.decode("a%20b")', "a b"),
        ('form.encode({"b": "2", "a": ["1", "x y"]})', "a=1&a=x+y&b=2"),
        ('form.decode("a=1&b=x+y").b', "x y"),
        ('sha256.encode("a")', "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        (f'unvalidatedJwtPayload("{TOKEN}").sub', "ann"),
        ('{"a": 1, "b": 2}.merge({"a": 3}).a', 3),
        ('"team/x".stripPrefix("team/")', "x"),
        ('"x.json".stripSuffix(".json")', "x"),
        ('"/id/12/x".regexReplace("[0-9]+", "n")', "/id/n/x"),
        ('cidr("10.0.0.0/8").containsIP("10.1.2.3")', True),
        ("size(uuid())", 36),
        ("random() < 1.0", True),
    ],
)
def test_functions(text: str, value: object) -> None:
    assert Expression(text, "here").compute(ask()) == value


@pytest.mark.parametrize(
    "text",
    ['json("no")', 'base64.decode("!")', 'unvalidatedJwtPayload("x")', "fail()", 'json("[" + "")'],
)
def test_what_can_not_be_computed_has_failed(text: str) -> None:
    with pytest.raises(CelFailed):
        Expression(text, "here").compute(ask())


def test_the_body_is_seen_once_it_is_there() -> None:
    asked = ask()
    expression = Expression("json(request.body).model", "here")
    with pytest.raises(CelFailed):
        expression.compute(asked)
    asked.body = b'{"model": "m"}'
    assert expression.compute(asked) == "m"
