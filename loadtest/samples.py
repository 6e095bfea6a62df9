"""Samples: one line of JSON per request, written by locust's process and read by the report's."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request as its caller saw it."""

    user: str
    """What was asked for: `warm`, `cold`, `herd`, `return`, `suspend`."""
    took_ms: float
    wake: str = ""
    """`cold`, `thaw`, or empty when no wake was told."""
    phases: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def of(cls, *, user: str, took_ms: float, rouse_wake: str, error: str) -> Self:
        """From the answer's `Rouse-Wake` field; one that cannot be read is an error too."""
        kind, _, rest = rouse_wake.partition(";")
        phases = {}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            name, _, ms = part.partition("=")
            try:
                phases[name] = float(ms)
            except ValueError:
                error = error or f"Rouse-Wake cannot be read: {rouse_wake[:100]!r}"
        return cls(user=user, took_ms=took_ms, wake=kind.strip(), phases=phases, error=error)


def write(path: Path, samples: Iterable[Sample]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(sample)) + "\n" for sample in samples)


def read(path: Path) -> Iterator[Sample]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Sample(**json.loads(line))
