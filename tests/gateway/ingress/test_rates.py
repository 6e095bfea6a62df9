"""Token buckets by address, with the time as an argument."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.rates import Rates, network_of, told_address


def test_a_burst_passes_and_then_the_rate() -> None:
    rates = Rates(per_s=2.0, burst=3)
    assert [rates.take(b"1.2.3.4", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert rates.take(b"1.2.3.4", 0.0) == 0.5
    assert rates.take(b"1.2.3.4", 0.5) == 0.0
    assert rates.take(b"1.2.3.4", 0.5) > 0.0


def test_one_address_does_not_use_anothers() -> None:
    rates = Rates(per_s=1.0, burst=1)
    assert rates.take(b"1.1.1.1", 0.0) == 0.0 and rates.take(b"1.1.1.1", 0.0) > 0.0
    assert rates.take(b"2.2.2.2", 0.0) == 0.0


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_no_order_of_requests_passes_more_than_rate_and_burst(steps: list[float]) -> None:
    rates, now, passed = Rates(per_s=2.0, burst=4), 0.0, 0
    for step in steps:
        now += step
        passed += rates.take(b"a", now) == 0.0
    assert passed <= 4 + 2.0 * now + 1e-6


def test_the_table_is_bounded() -> None:
    rates = Rates(per_s=0.001, burst=1, remembered=10)
    for number in range(1000):
        assert rates.take(b"10.0.0.%d" % number, 0.0) == 0.0
        assert rates.take(b"2001:db8:%x::1" % number, 0.0) == 0.0
    assert repr(rates) == "<Rates 0.001/s, 10 addresses>"
    assert rates.take(b"10.0.0.999", 0.0) > 0.0


def test_a_network_of_ipv6_is_one_client() -> None:
    assert network_of(b"2001:db8::1") == network_of(b"2001:db8::ffff:2")
    assert network_of(b"2001:db8::1") != network_of(b"2001:db8:0:1::1")
    assert network_of(b"::ffff:1.2.3.4") == b"1.2.3.4"
    assert network_of(b"nonsense:") == b"nonsense:"


def test_a_trusted_proxys_last_word_counts() -> None:
    block = b"\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\nx-forwarded-for: 8.8.8.8, 7.7.7.7"
    assert told_address(block, b"10.0.0.1") == b"7.7.7.7"
    assert told_address(b"\r\nHost: a", b"10.0.0.1") == b"10.0.0.1"
