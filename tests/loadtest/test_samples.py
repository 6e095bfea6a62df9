"""Samples survive the way from locust's process to the report's."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from loadtest.samples import Sample, read, write

FIELD = "cold; total=41.2, queue=0.1, claim=1, fetch=2.5, restore=20, ready=17.6"


def test_a80_the_wake_field_becomes_kind_and_phases() -> None:
    sample = Sample.of(user="cold", took_ms=44.0, rouse_wake=FIELD, error="")
    assert (sample.wake, sample.phases["total"], sample.error) == ("cold", 41.2, "")
    assert list(sample.phases) == ["total", "queue", "claim", "fetch", "restore", "ready"]


def test_no_field_is_no_wake() -> None:
    sample = Sample.of(user="warm", took_ms=1.0, rouse_wake="", error="")
    assert (sample.wake, dict(sample.phases)) == ("", {})


@given(st.text())
def test_a_field_of_any_form_is_read_or_named_as_the_error(field: str) -> None:
    sample = Sample.of(user="cold", took_ms=1.0, rouse_wake=f"cold; total={field}", error="")
    assert "total" in sample.phases or sample.error.startswith("Rouse-Wake cannot be read")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    samples = [
        Sample.of(user="cold", took_ms=44.0, rouse_wake=FIELD, error=""),
        Sample.of(user="warm", took_ms=1.5, rouse_wake="", error="status 503: \u2026\n"),
    ]
    write(tmp_path / "samples", samples)
    assert list(read(tmp_path / "samples")) == samples
