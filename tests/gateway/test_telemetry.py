"""Metrics as text: one family per name, whoever tells it, readable by Prometheus' own parser."""

from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import Telemetry, counter, gauge, histogram, labelled

BUCKETS = [("0.1", 1.0), ("1", 2.0), ("+Inf", 3.0)]


def door() -> Iterator[Metric]:
    yield counter("rouse_requests", "Requests.", ["relay"], {("door",): 3})
    yield gauge("rouse_tickets", "Tickets.", [], {(): 2})


def edge() -> Iterator[Metric]:
    yield counter("rouse_requests", "Requests.", ["relay"], {("edge",): 5})
    yield histogram("rouse_took_seconds", "Took.", ["relay"], {("edge",): (BUCKETS, 4.5)})


def parsed(telemetry: Telemetry) -> dict[str, dict[str, float]]:
    return read(telemetry.render().decode())


def read(text: str) -> dict[str, dict[str, float]]:
    """By sample name, by labels as text."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            values = found.setdefault(sample.name, {})
            assert labels not in values, f"{sample} twice"
            values[labels] = sample.value
    return found


def test_families_that_several_parts_tell_are_one() -> None:
    telemetry = Telemetry()
    telemetry.add(door)
    telemetry.add(edge)
    text = telemetry.render().decode()
    assert text.count("# TYPE rouse_requests_total counter") == 1
    found = parsed(telemetry)
    assert found["rouse_requests_total"] == {"relay=door": 3, "relay=edge": 5}
    assert found["rouse_tickets"] == {"": 2}


def test_reading_twice_counts_nothing_twice() -> None:
    telemetry = Telemetry()
    telemetry.add(door)
    telemetry.add(edge)
    assert parsed(telemetry) == parsed(telemetry)


def test_a_histogram_ends_with_all_and_has_its_sum() -> None:
    telemetry = Telemetry()
    telemetry.add(edge)
    found = parsed(telemetry)
    assert found["rouse_took_seconds_bucket"]["le=+Inf,relay=edge"] == 3
    assert found["rouse_took_seconds_count"]["relay=edge"] == 3
    assert found["rouse_took_seconds_sum"]["relay=edge"] == 4.5


def test_two_graphs_in_one_process_do_not_meet() -> None:
    one, two = Telemetry(), Telemetry()
    one.add(door)
    two.add(edge)
    assert "rouse_tickets" in parsed(one) and "rouse_tickets" not in parsed(two)


def test_nothing_is_read_before_somebody_asks() -> None:
    def broken() -> Iterator[Metric]:
        raise RuntimeError("the part does not run yet")

    telemetry = Telemetry()
    telemetry.add(broken)


def test_another_processs_metrics_keep_their_values_and_say_whose_they_are() -> None:
    child = Telemetry()
    child.add(door)
    child.add(edge)
    first = Telemetry()
    first.add(edge)
    text = child.render().decode()
    first.add(lambda: labelled(text, "1"))
    found = parsed(first)
    assert found["rouse_requests_total"] == {
        "relay=edge": 5,
        "process=1,relay=door": 3,
        "process=1,relay=edge": 5,
    }
    assert found["rouse_took_seconds_bucket"]["le=+Inf,process=1,relay=edge"] == 3
    assert first.render().decode().count("# TYPE rouse_requests_total counter") == 1


def test_a_labels_value_may_hold_anything() -> None:
    said = 'a"b\\c\nd'
    telemetry = Telemetry()
    telemetry.add(lambda: [gauge("rouse_x", "X.", ["why"], {(said,): 1})])
    (family,) = text_string_to_metric_families(telemetry.render().decode())
    assert family.samples[0].labels == {"why": said}
