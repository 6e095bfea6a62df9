"""What is shared; that it works together is test_proxy's."""

from gateway.egress.parts import Budgets


def test_no_budget_is_for_ever() -> None:
    made = Budgets()
    assert 0 < made.head_s < made.idle_s < made.stream_idle_s
