"""The report of a run: what a warm request costs, where a wake's time goes, what went wrong.

Pure: samples in, lines and a verdict out. Percentiles are values that were measured (nearest
rank), never interpolated ones.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadtest.samples import Sample

PHASES = ("total", "queue", "claim", "fetch", "restore", "ready")
MOST_ERRORS_SHOWN = 10
NUMBERS = "{:>8} {:>8.1f} {:>8.1f} {:>8.1f}"
LABEL_WIDTH = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    lines: tuple[str, ...]
    complaints: tuple[str, ...]
    """Why the run does not count as passed; empty when it does."""


def percentile(values: Sequence[float], rank: float) -> float:
    """The smallest value that `rank` percent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * rank / 100) - 1)]


def report(samples: Iterable[Sample], *, seconds: float) -> Report:
    """Weigh a run that took `seconds`."""
    everything = list(samples)
    good = [sample for sample in everything if not sample.error]
    warm = [s for s in good if s.user == "warm" and not s.wake]
    cold = [s for s in good if s.user == "cold" and s.wake == "cold"]
    thaw = [s for s in good if s.wake == "thaw"]
    herd = [s for s in good if s.user == "herd"]
    groups = {
        "warm": warm,
        "thaw of a frozen actor": thaw,
        "cold wake, as its caller saw it": cold,
        "herd, as each of them saw it": herd,
        "suspend, as asked for by the API": [s for s in good if s.user == "suspend"],
    }
    errors = Counter(f"{s.user}: {s.error}" for s in everything if s.error)
    lines = [
        f"{len(everything)} requests in {seconds:.0f} s, {len(everything) / seconds:.0f}/s, "
        f"{errors.total()} errors",
        "",
        f"{'milliseconds':<{LABEL_WIDTH}} {'count':>8} {'p50':>8} {'p95':>8} {'p99':>8}",
    ]
    for label, group in groups.items():
        lines += _row(label, [sample.took_ms for sample in group])
        if group is cold:
            lines += _phases(cold)
    if warm and cold:
        tax = percentile(_took(cold), 50) - percentile(_took(warm), 50)
        lines += ["", f"what a suspend costs the next caller (woken p50 - warm p50): {tax:.1f} ms"]
    return Report(lines=(*lines, *_told(errors)), complaints=_complaints(groups, errors))


def _took(samples: Iterable[Sample]) -> list[float]:
    return [sample.took_ms for sample in samples]


def _row(label: str, values: Sequence[float]) -> list[str]:
    if not values:
        return [f"{label:<{LABEL_WIDTH}} {0:>8}"]
    ranks = (percentile(values, rank) for rank in (50, 95, 99))
    return [f"{label:<{LABEL_WIDTH}} {NUMBERS.format(len(values), *ranks)}"]


def _phases(cold: Sequence[Sample]) -> list[str]:
    lines = []
    for phase in PHASES:
        values = [sample.phases[phase] for sample in cold if phase in sample.phases]
        if values:
            lines += _row(f"  {phase}", values)
    return lines


def _told(errors: Counter[str]) -> list[str]:
    if not errors:
        return []
    shown = [f"{count:>6} x {text}" for text, count in errors.most_common(MOST_ERRORS_SHOWN)]
    more = len(errors) - len(shown)
    return ["", "errors", *shown, *([f"       and {more} other kinds"] if more else [])]


def _complaints(groups: dict[str, list[Sample]], errors: Counter[str]) -> tuple[str, ...]:
    # A run that saw no thaw proves nothing of thaws: it must not pass for one without errors.
    missing = [f"not one sample of: {label}" for label, group in groups.items() if not group]
    return (*([f"{errors.total()} errors"] if errors else []), *missing)
