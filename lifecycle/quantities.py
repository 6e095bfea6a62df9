"""Quantities as people write them: durations `1m30s`, sizes `256Mi`, cores `500m`. No I/O.

Each is a number of base units (seconds, bytes, cores), so that what reads one just counts; its
`str` is the shortest text that reads back as the same number.
"""

import math
import re
from fractions import Fraction
from typing import Any

_STEP = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_STEP.pattern})+")
_UNIT_S: dict[str, int | Fraction] = {
    "ms": Fraction(1, 1000),
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
}
_LONGEST_S = 3650 * 86400

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)")
_UNIT_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNIT_BYTES |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_LARGEST_BYTES = 2**50

_CORES = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m?)")
_MOST_CORES = 1024


class Duration(float):
    """Seconds; infinite is `never`. Kept to the millisecond."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        if text == "never":
            return cls(math.inf)
        if text == "0":
            return cls(0)
        if _DURATION.fullmatch(text) is None:
            raise ValueError(f"{text[:40]!r} is no duration: write 500ms, 5s, 1m30s, 2h or never")
        total = sum(
            (Fraction(number) * _UNIT_S[unit] for number, unit in _STEP.findall(text)), Fraction()
        )
        if total > _LONGEST_S:
            raise ValueError(f"{text[:40]!r} is more than ten years; write never to mean never")
        if total and total < Fraction(1, 1000):
            raise ValueError(f"{text[:40]!r} is less than a millisecond")
        return cls(round(total * 1000) / 1000)

    @property
    def finite(self) -> float | None:
        """Seconds, or None for never: as lifecycle.templates wants it."""
        return None if math.isinf(self) else float(self)

    def __str__(self) -> str:
        if math.isinf(self):
            return "never"
        left = round(self * 1000)
        steps = []
        for unit, ms in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
            count, left = divmod(left, ms)
            if count:
                steps.append(f"{count}{unit}")
        return "".join(steps) or "0s"


class Size(int):
    """Bytes."""

    @classmethod
    def parse(cls, text: str) -> "Size":
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is no size: write bytes or 512Ki, 256Mi, 1.5Gi, 10M")
        total = Fraction(match[1]) * _UNIT_BYTES[match[2]]
        if total.denominator != 1:
            raise ValueError(f"{text[:40]!r} is not a whole number of bytes")
        if total > _LARGEST_BYTES:
            raise ValueError(f"{text[:40]!r} is more than a pebibyte")
        return cls(total)

    def __str__(self) -> str:
        for unit in ("Ti", "Gi", "Mi", "Ki"):
            count, rest = divmod(int(self), _UNIT_BYTES[unit])
            if count and not rest:
                return f"{count}{unit}"
        return int.__str__(self)


class Cores(float):
    """CPU cores, kept to the thousandth."""

    @classmethod
    def parse(cls, text: str) -> "Cores":
        match = _CORES.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:40]!r} is no amount of cpu: write cores as 0.5, 2 or 500m")
        total = Fraction(match[1]) / (1000 if match[2] else 1)
        thousandths = round(total * 1000)
        if thousandths < 1 or total > _MOST_CORES:
            raise ValueError(f"{text[:40]!r} is not between 1m and {_MOST_CORES} cores")
        return cls(thousandths / 1000)

    def __str__(self) -> str:
        thousandths = round(self * 1000)
        whole, rest = divmod(thousandths, 1000)
        return f"{thousandths}m" if rest else str(whole)


def decode(wanted: type, given: object) -> object:
    """A msgspec `dec_hook`: text to a quantity. Bare numbers pass where no unit is missing."""
    if wanted is Duration:
        if isinstance(given, str):
            return Duration.parse(given)
        if type(given) is int and given == 0:
            return Duration(0)
        raise ValueError(f"{given!r} is no duration: write it with its unit, as 5s or 1m30s")
    if wanted is Size and isinstance(given, str | int) and not isinstance(given, bool):
        return Size.parse(str(given))
    if wanted is Cores and isinstance(given, str | int | float) and not isinstance(given, bool):
        return Cores.parse(str(given))
    if wanted in (Size, Cores):
        raise ValueError(f"{given!r} is neither a number nor text such as 256Mi or 500m")
    raise NotImplementedError(wanted)


def encode(quantity: object) -> str:
    """A msgspec `enc_hook`, the reverse of `decode`."""
    if isinstance(quantity, Duration | Size | Cores):
        return str(quantity)
    raise NotImplementedError(type(quantity))


def schema(wanted: type) -> dict[str, Any]:  # JSON Schema is a tree of whatever JSON has
    """A msgspec `schema_hook`: what `decode` takes, for the OpenAPI document."""
    examples = {Duration: ["5s", "1m30s", "never"], Size: ["256Mi", "1Gi"], Cores: ["500m", "2"]}
    if wanted not in examples:
        raise NotImplementedError(wanted)
    return {"type": "string", "title": wanted.__name__, "examples": examples[wanted]}
