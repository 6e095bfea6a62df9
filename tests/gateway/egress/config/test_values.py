"""Values: rules add up, and no secret is in a repr."""

from gateway.egress.cel import Expression
from gateway.egress.config.values import NO_RULES, Credential, Rules, Source


def test_rules_of_levels_add_up() -> None:
    one, two = Expression("true", "a"), Expression("false", "b")
    both = Rules(allow=(one,)) + Rules(deny=(two,)) + NO_RULES
    assert (both.allow, both.deny, bool(both), bool(NO_RULES)) == ((one,), (two,), True, False)


def test_no_secret_is_in_a_repr() -> None:
    made = Credential(name="n", hosts=("h",), source=Source(value="sekret"))
    assert "sekret" not in repr(made)
