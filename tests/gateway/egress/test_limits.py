"""Buckets start full, fill in steps, and are bounded in number."""

from gateway.egress.config.model import Rate
from gateway.egress.limits import Buckets

RATE = Rate(max_tokens=2, per_fill=1, interval_s=10)


def test_a_bucket_starts_full_and_fills_in_steps() -> None:
    buckets = Buckets()
    assert [buckets.take("a", RATE, 0).admitted for _ in range(3)] == [True, True, False]
    assert not buckets.take("a", RATE, 9.9).admitted
    assert buckets.take("a", RATE, 10).admitted and not buckets.take("a", RATE, 10).admitted


def test_a_refusal_says_when_to_come_again() -> None:
    buckets = Buckets()
    for _ in range(2):
        buckets.take("a", RATE, 0)
    headers = dict(buckets.take("a", RATE, 4).headers)
    assert headers["x-ratelimit-limit"] == "2" and headers["x-ratelimit-remaining"] == "0"
    assert 6 <= int(headers["retry-after"]) <= 7


def test_keys_have_buckets_of_their_own() -> None:
    buckets = Buckets()
    for _ in range(2):
        buckets.take("a", RATE, 0)
    assert buckets.take("b", RATE, 0).admitted


def test_llm_tokens_are_charged_afterwards_and_never_below_nothing() -> None:
    rate = Rate(max_tokens=100, per_fill=10, interval_s=10, counts_llm=True)
    buckets = Buckets()
    assert buckets.take("a", rate, 0).left == 100
    buckets.charge("a", rate, 1000, 0)
    assert not buckets.take("a", rate, 0).admitted
    assert buckets.take("a", rate, 10).left == 10


def test_a_flood_of_keys_is_bounded() -> None:
    buckets = Buckets(most=10)
    for number in range(100):
        buckets.take(number, RATE, 0)
    assert repr(buckets) == "<Buckets 10>"
