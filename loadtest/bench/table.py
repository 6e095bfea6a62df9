"""What came of the rounds: medians, ratios to HAProxy in the same round, and the table of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from loadtest.bench.wrk import Sample

YARDSTICK = "HAProxy, 1 thread"


@dataclass(slots=True)
class Series:
    """One side under one load, a sample per round."""

    samples: list[Sample] = field(default_factory=list)
    memory_mb: float = 0.0
    """Resident after the last round."""

    def requests_s(self) -> float:
        return median(s.requests_s for s in self.samples)

    def p50_ms(self) -> float:
        return median(s.p50_ms for s in self.samples)

    def p99_ms(self) -> float:
        return median(s.p99_ms for s in self.samples)

    def errors(self) -> int:
        return sum(s.errors for s in self.samples)


def speed_ratio(series: Series, yardstick: Series) -> float:
    """Median of each round's own ratio: what slows a whole round down slows both."""
    pairs = zip(series.samples, yardstick.samples, strict=False)
    return median(a.requests_s / b.requests_s for a, b in pairs)


def p99_ratio(series: Series, yardstick: Series) -> float:
    pairs = zip(series.samples, yardstick.samples, strict=False)
    return median(a.p99_ms / b.p99_ms for a, b in pairs)


def rows(sides: Mapping[str, Series]) -> list[list[str]]:
    """The table of one load, header first. Without HAProxy there are no ratios."""
    yardstick = sides.get(YARDSTICK)
    table = [["side", "req/s", "p50 ms", "p99 ms", "MB", "speed / HAProxy", "p99 / HAProxy"]]
    for name, series in sides.items():
        if not series.samples:
            continue
        row = [name, f"{series.requests_s():,.0f}", f"{series.p50_ms():.2f}"]
        row += [f"{series.p99_ms():.2f}", f"{series.memory_mb:.0f}" if series.memory_mb else "-"]
        if yardstick is not None and yardstick.samples:
            row += [f"{speed_ratio(series, yardstick):.2f}x"]
            row += [f"{p99_ratio(series, yardstick):.2f}x"]
        else:
            row += ["-", "-"]
        table.append(row)
    return table


def markdown(table: Sequence[Sequence[str]]) -> str:
    header, *body = table
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """For a terminal: the first column to the left, numbers to the right."""
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]

    def line(row: Sequence[str]) -> str:
        first, *rest = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in table)


def complaints(results: Mapping[str, Mapping[str, Series]]) -> list[str]:
    """Measurements that say nothing, because requests failed in them."""
    return [
        f"{name}: {series.errors()} failed requests under {load}"
        for load, sides in results.items()
        for name, series in sides.items()
        if series.errors()
    ]
