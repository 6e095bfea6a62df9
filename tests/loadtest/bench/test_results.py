"""results.md: sections replaced by name, and a machine described without naming it."""

import socket
import sys
from pathlib import Path

from loadtest.bench import results


def test_a_section_is_replaced_and_the_others_stay() -> None:
    text = results.replaced("", "One", "first")
    text = results.replaced(text, "Two", "second\n\n### part\n\nof it")
    text = results.replaced(text, "One", "anew")
    assert text.startswith("# Results\n")
    assert "first" not in text
    assert text.endswith("## One\n\nanew\n\n## Two\n\nsecond\n\n### part\n\nof it\n")


def test_writing_the_same_again_changes_nothing() -> None:
    text = results.replaced(results.replaced("", "One", "a"), "Two", "b")
    assert results.replaced(text, "One", "a") == text
    assert results.replaced(text, "Two", "b") == text


def test_a_section_whose_name_begins_another_is_not_taken_for_it() -> None:
    text = results.replaced(results.replaced("", "Proxies", "a"), "Proxies side", "b")
    assert results.replaced(text, "Proxies", "c").count("## Proxies side\n\nb") == 1


def test_written_to_a_file_that_may_not_be_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    results.write("One", "body", path)
    assert path.read_text() == results.replaced("", "One", "body")


def test_the_machine_is_described_but_not_named() -> None:
    told = results.machine("2026-01-02")
    assert told.startswith("2026-01-02; ") and "cores of" in told and "Linux" in told
    assert f" {socket.gethostname()} " not in told


def test_versions_are_what_the_programs_say_of_themselves() -> None:
    told = results.versions({"python": [sys.executable, "-V"]}, ["uvloop", "no-such-package"])
    assert told.startswith("python 3.") and ", uvloop " in told and "no-such" not in told


def test_the_first_version_of_a_banner_is_taken() -> None:
    assert results.first_version("HAProxy version 2.6.12-1+deb12u4 2026/10/17") == "2.6.12"
    assert results.first_version("nothing") == "?"
