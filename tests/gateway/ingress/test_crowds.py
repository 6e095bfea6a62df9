"""Counts of open requests, and that nothing is left of those that ended."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.crowds import Crowds


def test_a51_one_actors_crowd_is_not_anothers() -> None:
    crowds = Crowds(per_actor=2)
    assert [crowds.enter(b"n/a") for _ in range(3)] == [True, True, False]
    assert crowds.enter(b"n/b")
    crowds.leave(b"n/a")
    assert crowds.enter(b"n/a")
    assert repr(crowds) == "<Crowds 3 requests, 2 actors>"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([b"n/a", b"n/b"]))))
def test_a13_nothing_is_left_of_those_that_ended(steps: list[tuple[bool, bytes]]) -> None:
    crowds = Crowds(per_actor=3)
    inside: list[bytes] = []
    for comes, actor in steps:
        if comes and crowds.enter(actor):
            inside.append(actor)
        elif not comes and actor in inside:
            inside.remove(actor)
            crowds.leave(actor)
        assert all(inside.count(each) <= 3 for each in inside)
    for actor in inside:
        crowds.leave(actor)
    assert repr(crowds) == "<Crowds 0 requests, 0 actors>"
