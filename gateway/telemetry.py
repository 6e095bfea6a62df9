"""Metrics: plain counts of the parts, read when somebody asks, in Prometheus' text format."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

# Any in the functions below: tuples of label values, of one length per family; Mapping is invariant
# in its keys, so `tuple[str, str]` would not fit `tuple[str, ...]`.


class Telemetry:
    """One registry per process, no globals: two graphs in one process do not meet."""

    def __init__(self) -> None:
        self._reads: list[Callable[[], Iterable[Metric]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(_Readings(self._reads))

    def add(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._reads.append(read)

    def render(self) -> bytes:
        return generate_latest(self._registry)


class _Readings(Collector):
    """Families of one name that several parts tell are one family: the format wants each once."""

    def __init__(self, reads: list[Callable[[], Iterable[Metric]]]) -> None:
        self._reads = reads

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for read in self._reads:
            for family in read():
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples.extend(family.samples)
        return families.values()

    def describe(self) -> Iterable[Metric]:
        # Without this the registry would call `collect` at once, before the parts run.
        return []


def counter(name: str, what: str, labels: Sequence[str], counts: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def gauge(name: str, what: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=labels)
    for label_values, value in sorted(values.items()):
        family.add_metric(label_values, value)
    return family


def histogram(
    name: str,
    what: str,
    labels: Sequence[str],
    parts: Mapping[Any, tuple[Sequence[tuple[str, float]], float]],
) -> Metric:
    """`parts`: by label values, the cumulated buckets (upper bound, count) and the sum."""
    family = HistogramMetricFamily(name, what, labels=labels)
    for values, (buckets, total) in sorted(parts.items()):
        family.add_metric(values, buckets=list(buckets), sum_value=total)
    return family


def labelled(text: str, process: str) -> Iterator[Metric]:
    """Another process's metrics, with a label that tells it apart."""
    for family in text_string_to_metric_families(text):
        told = Metric(family.name, family.documentation, family.type)
        for sample in family.samples:
            told.samples.append(sample._replace(labels={**sample.labels, "process": process}))
        yield told
