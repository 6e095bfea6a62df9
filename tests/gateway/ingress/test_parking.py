"""Parking's counts: who may wait, and that nothing is left of those who left."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.parking import Parking
from placement.model import ActorId

A, B = ActorId("n", "a"), ActorId("n", "b")


def test_a73_one_actors_queue_does_not_fill_anothers() -> None:
    parking = Parking(per_actor=2, total=3)
    assert [parking.enter(A) is None for _ in range(3)] == [True, True, False]
    assert [parking.enter(B) is None for _ in range(2)] == [True, False]
    assert (parking.count, parking.waiting(A), parking.waiting(B)) == (3, 2, 1)
    assert repr(parking) == "<Parking 3 waiting, 2 actors, 0 bytes>"


def test_a30_what_waits_is_bounded_in_bytes_too() -> None:
    parking = Parking(per_actor=9, total=9, total_bytes=100)
    assert parking.enter(A, 60) is None
    assert parking.enter(A, 60) is not None and parking.count == 1
    assert parking.enter(B, 40) is None and not parking.has_room
    parking.hold(25)
    parking.leave(A, 85)
    assert parking.has_room and parking.held_bytes == 40
    parking.leave(B, 40)
    assert parking.held_bytes == 0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B]))))
def test_a13_counts_return_to_zero_after_any_order_of_comings_and_goings(
    steps: list[tuple[bool, ActorId]],
) -> None:
    parking = Parking(per_actor=3, total=4)
    inside: list[ActorId] = []
    for comes, actor in steps:
        if comes and parking.enter(actor) is None:
            inside.append(actor)
        elif not comes and actor in inside:
            inside.remove(actor)
            parking.leave(actor)
        assert parking.count == len(inside) <= 4 and parking.waiting(actor) <= 3
    for actor in inside:
        parking.leave(actor)
    assert (parking.count, parking.waiting(A), parking.waiting(B)) == (0, 0, 0)
