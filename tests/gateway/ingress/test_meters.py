"""What the meters hold after some answers."""

from gateway.ingress.meters import BUCKETS_S, Meters


def test_answers_are_counted_by_status_source_and_time() -> None:
    meters = Meters()
    meters.answered(200, True, 0.001)
    meters.answered(200, True, 0.3)
    meters.answered(503, False, 99.0)
    assert meters.by_actor == {200: 2} and meters.by_rouse == {503: 1}
    assert meters.latency[0] == 1 and meters.latency[-1] == 1
    assert meters.latency[BUCKETS_S.index(0.5)] == 1 and sum(meters.latency) == 3
    meters.answered(101, True, 3600.0)
    assert sum(meters.latency) == 3 and meters.by_actor[101] == 1
    assert repr(meters) == "<Meters 4 done, 0 in flight, 0 connections>"
