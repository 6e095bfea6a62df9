"""`default` and `coalesce`: what fails is passed over, wherever in an expression it stands."""

import pytest

from gateway.egress.cel import Expression
from gateway.egress.cel_lazy import cut
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import ask


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('default(request.headers["none"], "x")', "x"),
        ('default(request.headers["a"], "x")', "1"),
        ('"(" + default(jwt.sub, "nobody") + ")"', "(nobody)"),
        ('default(jwt.sub, default(apiKey.team, "n"))', "n"),
        ('coalesce(jwt.sub, request.headers["none"], actor.name, "x")', "c1"),
        ("coalesce(jwt.sub, apiKey.team)", None),
        ('default(jwt.sub, "a") == "a" && coalesce(jwt.x, [1, 2])[1] == 2', True),
        ('"default(jwt.sub, 1)"', "default(jwt.sub, 1)"),
        ('size("a\\"default(")', 10),
        ("default(jwt.sub, 'it, (is)')", "it, (is)"),
    ],
)
def test_values(text: str, value: object) -> None:
    assert Expression(text, "here").compute(ask(fields=[("a", "1")])) == value


@pytest.mark.parametrize(
    "text", ["default(1)", "default(1, 2, 3)", "default(1, 2", "coalesce()", "default(, 1)"]
)
def test_what_is_no_call_is_not_understood(text: str) -> None:
    with pytest.raises(NotUnderstood, match="is not CEL"):
        Expression(text, "here")


def test_what_it_looks_at_is_known() -> None:
    assert Expression("default(source.address, actor.name)", "here").roots == ("source", "actor")
    with pytest.raises(NotUnderstood, match="jwtt"):
        Expression("default(jwtt.sub, 1)", "here")
    assert cut("x.default(1) + mydefault(2)") == ("x.default(1) + mydefault(2)", ())
