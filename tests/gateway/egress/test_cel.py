"""Expressions: names are checked at load, failures are told, addresses can be asked about."""

import pytest

from gateway.egress.cel import CelFailed, Expression
from lifecycle.strict import NotUnderstood


class _Seen:
    def __init__(self) -> None:
        self.memo: dict[object, object] = {}

    def root(self, name: str) -> object | None:
        return {"actor": {"namespace": "demo"}, "source": {"address": "10.1.2.3"}}.get(name)


SEEN = _Seen()


@pytest.mark.parametrize(
    "text",
    [
        'actor.namespace == "demo"',
        'cidr("10.0.0.0/8").containsIP(source.address)',
        "[1, 2].exists(x, x > 1)",
        '"a-b".split("-")[0] == "a"',
    ],
)
def test_true(text: str) -> None:
    assert Expression(text, "p").is_true(SEEN)


@pytest.mark.parametrize(
    ("text", "why"), [("actr.x", "actor"), ("siez('a')", "size"), ("a b", "not CEL")]
)
def test_what_is_not_known_is_refused_at_load(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        Expression(text, "p")


@pytest.mark.parametrize("text", ["actor.nope", "1 / 0", '"text"', "actor.namespace > 1"])
def test_what_gives_no_boolean_fails(text: str) -> None:
    with pytest.raises(CelFailed):
        Expression(text, "p").is_true(SEEN)
