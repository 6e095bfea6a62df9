"""The worker's own counts."""

from lifecycle.host.meters import BUCKETS_S, Histogram, HostMeters


def test_buckets_are_cumulated_and_end_with_all() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 0.02, 100.0):
        histogram.observe(seconds)
    told = dict(histogram.cumulated())
    assert told["0.001"] == 2 and told["0.025"] == 3 and told["60"] == 3 and told["+Inf"] == 4
    assert len(told) == len(BUCKETS_S) + 1


def test_phases_are_made_as_they_are_seen() -> None:
    meters = HostMeters()
    meters.phase("claim", 0.002)
    assert list(meters.phases) == ["claim"] and meters.phases["claim"].sum == 0.002
