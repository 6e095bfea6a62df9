"""The model's own promises: rules add up, and no secret shows."""

from gateway.egress.cel import Expression
from gateway.egress.config.model import NO_RULES, Rules, Source


def test_a_secret_is_in_no_repr() -> None:
    assert "hunter2" not in repr(Source(value="hunter2"))


def test_rule_sets_add_up() -> None:
    rule = Expression("true", "x")
    both = Rules(allow=(rule,)) + Rules(deny=(rule,))
    assert both.allow == (rule,) and both.deny == (rule,) and not NO_RULES
