"""Ports of the machine, one actor each, and none again too soon."""

import socket
from collections.abc import Iterator

import pytest

from runtimes.base import RuntimeFailure
from runtimes.ports import Ports

FIRST = 21_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def few(clock: Clock) -> Iterator[Ports]:
    ports = Ports(FIRST, FIRST + 3, cool_down_s=60, clock=clock, seed=1)
    ports._last = FIRST + 3  # three ports, whatever range the machine leaves us
    ports._next = FIRST
    yield ports
    ports.close()


def test_no_port_is_given_twice_and_their_end_is_told(few: Ports) -> None:
    assert {few.take() for _ in range(3)} == {FIRST, FIRST + 1, FIRST + 2}
    with pytest.raises(RuntimeFailure, match="no free port") as failure:
        few.take()
    assert failure.value.retryable


def test_a28_a_port_cools_before_another_actor_gets_it(few: Ports, clock: Clock) -> None:
    first, *_ = [few.take() for _ in range(3)]
    few.release(first)
    clock.now = 59
    with pytest.raises(RuntimeFailure):
        few.take()
    clock.now = 60
    assert few.take() == first


def test_two_workers_of_one_machine_never_share_a_port(few: Ports, clock: Clock) -> None:
    other = Ports(FIRST, FIRST + 3, clock=clock)
    mine = few.take()
    assert not other.hold(mine)
    few.close()
    assert other.hold(mine)
    other.close()


def test_a_port_that_a_stranger_listens_on_is_passed_over(few: Ports) -> None:
    with socket.create_server(("127.0.0.1", FIRST)):
        assert few.take() == FIRST + 1


def test_ports_lie_outside_the_kernels_own_range(clock: Clock) -> None:
    ports = Ports(clock=clock)
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = (int(word) for word in file.read().split())
    taken = ports.take()
    ports.close()
    assert taken < low or taken > high


def test_repr_counts(few: Ports) -> None:
    one, _ = few.take(), few.take()
    few.release(one)
    few.release(one)
    assert repr(few) == "<Ports 1 held, 1 cooling>"
