"""Quantities read back as they were written, and a missing unit is an error that says so."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import quantities
from lifecycle.quantities import Cores, Duration, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("2d", 172800), ("0s", 0)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


def test_never_is_infinite_and_has_no_finite_value() -> None:
    assert math.isinf(Duration.parse("never")) and Duration.parse("never").finite is None
    assert Duration.parse("5s").finite == 5.0


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "5x", "1e3s", "99999d", "0.1ms", "\u0665s"]
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|years|millisecond") as caught:
        Duration.parse(text)
    assert repr(text) in str(caught.value)


@given(st.integers(min_value=0, max_value=3650 * 86_400_000))
def test_every_duration_reads_back_from_its_shortest_text(ms: int) -> None:
    duration = Duration(ms / 1000)
    assert Duration.parse(str(duration)) == duration


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        duration = Duration.parse(text)
    except ValueError:
        return
    assert duration >= 0


@pytest.mark.parametrize(
    ("text", "count"),
    [("256Mi", 268435456), ("1.5Gi", 1610612736), ("10M", 10_000_000), ("12", 12), ("2k", 2000)],
)
def test_a_size_is_bytes(text: str, count: int) -> None:
    assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["", "Mi", "-1", "256 Mi", "256mb", "0.5", "9999Ti"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|whole number|pebibyte"):
        Size.parse(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_every_size_reads_back_from_its_shortest_text(count: int) -> None:
    assert Size.parse(str(Size(count))) == count


@pytest.mark.parametrize(
    ("text", "cores"), [("0.5", 0.5), ("500m", 0.5), ("2", 2.0), ("1m", 0.001)]
)
def test_cpu_is_cores(text: str, cores: float) -> None:
    assert Cores.parse(text) == cores


@pytest.mark.parametrize("text", ["", "0", "0.5c", "-1", "5000", "half"])
def test_what_is_no_cpu_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cpu|cores"):
        Cores.parse(text)


@given(st.integers(min_value=1, max_value=1024_000))
def test_every_cpu_reads_back_from_its_shortest_text(thousandths: int) -> None:
    cores = Cores(thousandths / 1000)
    assert Cores.parse(str(cores)) == cores


def test_a_bare_number_is_no_duration_but_is_a_size_and_cores() -> None:
    with pytest.raises(ValueError, match="with its unit"):
        quantities.decode(Duration, 5)
    assert quantities.decode(Duration, 0) == 0
    assert quantities.decode(Size, 1024) == 1024
    assert quantities.decode(Cores, 0.25) == 0.25


@pytest.mark.parametrize("kind", [Duration, Size, Cores])
def test_true_is_no_quantity(kind: type) -> None:
    with pytest.raises(ValueError, match="True is"):
        quantities.decode(kind, True)


def test_encode_is_the_reverse_of_decode() -> None:
    assert quantities.encode(Duration(90)) == "1m30s"
    assert quantities.encode(Size(2**28)) == "256Mi"
    assert quantities.encode(Cores(0.5)) == "500m"
    with pytest.raises(NotImplementedError):
        quantities.encode(object())
    assert quantities.schema(Size)["type"] == "string"
