"""The command: its options and its template. A whole run is in test_users."""

from pathlib import Path

import pytest

from lifecycle.documents import parse_template
from loadtest.__main__ import arguments, main, template


def test_without_options_it_starts_a_product_with_the_process_runtime_for_30_s() -> None:
    options = arguments([])
    assert (options.seconds, options.runtime, options.against) == (30.0, "process", None)


def test_its_template_is_one_the_product_takes() -> None:
    parsed = parse_template(template(Path("/somewhere"))).template
    assert parsed.create_on_request and parsed.namespace == "load"
    assert parsed.freeze_after_s == 1.0 and parsed.suspend_after_s == 2.5


def test_a_product_that_is_away_is_one_sentence_and_status_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--against", "http://127.0.0.1:1", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.startswith("failed: <urlopen error")
