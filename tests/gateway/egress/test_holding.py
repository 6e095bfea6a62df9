"""What one copy of an actor may have held, and all."""

import pytest

from gateway.egress.holding import MOST_HELD_OF_ONE, Holding, Lease
from gateway.egress.refusals import Refusal, Refused


def test_one_actor_can_not_have_all_that_is_held() -> None:
    holding = Holding()
    one, other = Lease(holding, "a"), Lease(holding, "b")
    one.take(MOST_HELD_OF_ONE)
    with pytest.raises(Refusal) as caught:
        Lease(holding, "a").take(1)
    assert caught.value.what is Refused.BUSY
    other.take(1)
    for _ in range(2):
        one.give_back()
    assert holding.total == 1
    one.take(1)
